Feature: Layer 5, from the message queue to the payment service

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F5.1 @without:payment.idempotency-key/no-duplicate-charge @without:payment.commit-after-work/every-order-final
  Scenario: The consumer dies after the provider has charged and before it has noted so
    Given customers place 20 orders per second
    When the fault "payment-crash-after-charge" is injected until it was felt 3 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders are accepted

  @F5.1 @without:payment.commit-after-work/every-order-final
  Scenario: The consumer dies before it begins to work
    Given customers place 20 orders per second
    When the fault "payment-crash-before-work" is injected until it was felt 3 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders are accepted

  @F5.1
  Scenario: Consumers are killed at random moments
    Given customers place 20 orders per second
    When the fault "payment-killed-at-random" is injected until it was felt 5 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders are accepted
