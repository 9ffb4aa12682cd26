Feature: Layer 11, the analytics service

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F11.3 @without:analytics.dedup/dashboards-true
  Scenario: Every order event is published twice
    Given customers place 20 orders per second
    When the fault "every-event-twice" is injected until it was felt 80 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept

  @F11.5
  Scenario: The data lake is away for a while
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "lake-down" is injected until it was felt 2 times
    And customers have placed 40 more orders
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept

  @F11.5
  Scenario: The data lake is slower than a put may take
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "lake-slow" is injected until it was felt 20 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept

  @F11.5 @without:analytics.atomic-put/dashboards-true
  Scenario: Writes to the data lake break off half-way
    Given customers place 20 orders per second
    When the fault "lake-write-cut" is injected until it was felt 20 times
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept

  @F11.6 @without:analytics.atomic-batch/dashboards-true
  Scenario: The batch dies in the middle
    Given customers place 20 orders per second
    When the fault "analytics-batch-dies" is injected until it was felt 3 times
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept

  @F11.2 @without:analytics.event-time/dashboards-true
  Scenario: Half of the events come after their window is over
    Given the setting WINDOW_S of analytics-batch is "2"
    And customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "lake-down-for-one" is injected until it was felt 1 time
    And customers have placed 80 more orders
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept

  @F11.7 @without:analytics.completeness/dashboards-true
  Scenario: Some partitions do not arrive while dashboards are built from the others
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "lake-down-for-one" is injected until it was felt 1 time
    And customers have placed 40 more orders
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept

  @F11.1 @without:analytics.freshness/dashboards-true
  Scenario: Events arrive seconds late
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "analytics-queue-slow" is injected
    And customers have placed 60 more orders
    And the fault is felt 10 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept

  @F11.4 @without:analytics.schema-check/dashboards-true
  Scenario: Events that lack a field stand among the good ones
    Given customers place 20 orders per second
    When customers have placed 40 orders
    And the fault "order-events-without-amount" is injected
    And customers have placed 20 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept

  @F11.4 @without:analytics.version-tolerance/dashboards-true
  Scenario: Events of a later version stand among the good ones
    Given customers place 20 orders per second
    When customers have placed 40 orders
    And the fault "order-events-of-version-2" is injected
    And customers have placed 20 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept

  @F9.7 @without:analytics.commit-after-work/dashboards-true
  Scenario: The analytics service dies between reading events and keeping them
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "analytics-crash-before-put" is injected until it was felt 2 times
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
