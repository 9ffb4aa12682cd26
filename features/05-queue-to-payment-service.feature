Feature: Layer 5, from the message queue to the payment service

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F5.1 @without:payment.idempotency-key/no-duplicate-charge @without:payment.commit-after-work/every-order-final
  Scenario: The consumer dies after the provider has charged and before it has noted so
    Given customers place 10 orders per second
    When the fault "payment-crash-after-charge" is injected until it was felt 3 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders are accepted

  @F5.1 @without:payment.commit-after-work/every-order-final
  Scenario: The consumer dies before it begins to work
    Given customers place 10 orders per second
    When the fault "payment-crash-before-work" is injected until it was felt 3 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders are accepted

  @F5.1
  Scenario: Consumers are killed at random moments
    Given customers place 10 orders per second
    When the fault "payment-killed-at-random" is injected until it was felt 5 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders are accepted

  @F5.6 @without:payment.retry-policy/every-order-final
  Scenario: The provider is out for longer than any command is worked on at once
    Given the setting PAYMENT_PATIENCE_MS of payment-service is "200"
    And customers place 10 orders per second
    When customers have placed 10 orders
    And the fault "provider-fails-before-booking" is injected for 8 seconds
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 0 orders end declined
    And at most 0 messages of payment-commands are parked

  @F5.8 @without:payment.schema-check/no-charge-without-order
  Scenario: Commands of a major version that nobody knows yet
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "payment-commands-of-version-2" is injected
    And customers have placed 40 more orders
    And the customers stop
    And the fault is felt 8 times
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 8 messages of payment-commands are parked
