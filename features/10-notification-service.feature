Feature: Layer 10, the notification service

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F10.1 @without:notification.retry/told-once
  Scenario: The message provider is down while customers pay
    # It is felt by connections that stand, and there is none before the first orders are paid.
    Given customers place 20 orders per second
    When customers have placed 40 orders
    And the fault "message-provider-down" is injected until it was felt 1 time
    And customers have placed 20 more orders
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 30 orders are accepted

  @F10.3 @without:notification.message-key/told-once
  Scenario: The service dies after it has sent a message and before it has noted so
    Given customers place 20 orders per second
    When the fault "notification-crash-after-send" is injected until it was felt 3 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders are accepted

  @F10.3 @without:notification.message-key/told-once
  Scenario: The message provider delivers, and then answers with an error
    Given customers place 20 orders per second
    When the fault "message-provider-fails-after-booking" is injected until it was felt 10 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 5 orders are accepted

  @F10.5 @without:notification.paid-only/told-after-payment
  Scenario: Half of the cards are declined, and that the orders were placed is said once more
    Given customers place 20 orders per second
    When the fault "provider-declines" is injected until it was felt 10 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    And the fault "late-placed-events" is injected until it was felt 8 times
    And the fault heals
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders end declined

  @F10.5 @without:notification.paid-only/told-after-payment
  Scenario: Orders are placed long before they are paid
    Given customers place 20 orders per second
    When the fault "provider-slow" is injected until it was felt 10 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders are accepted

  @F10.6 @without:notification.retry/told-once
  Scenario: Calls to the message provider are reset on the way
    Given customers place 20 orders per second
    When the fault "message-provider-resets" is injected until it was felt 5 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 5 orders are accepted

  @F10.6 @without:notification.commit-after-send/told-once
  Scenario: The service dies before it has sent what it has read
    Given customers place 20 orders per second
    When the fault "notification-crash-before-send" is injected until it was felt 3 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders are accepted
