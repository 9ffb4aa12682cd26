Feature: Layer 4, from the order service to the message queue

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F4.1 @without:order.outbox/every-order-final
  Scenario: The queue is down while customers order
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "queue-unavailable" is injected
    # Twice as long as a producer holds on to a message: what is nowhere else then is gone.
    And customers have placed 60 more orders
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 70 orders are accepted

  @F4.1 @without:order.outbox/every-order-final
  Scenario: The order service cannot reach the queue, everybody else can
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "order-queue-link-down" is injected
    # Twice as long as a producer holds on to a message.
    And customers have placed 60 more orders
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 60 orders are accepted

  @F4.6 @without:payment.dead-letter/every-order-final
  Scenario: Messages that nobody can read stand before the commands of customers
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "poison-payment-commands" is injected
    And customers have placed 40 more orders
    And the customers stop
    And the fault is felt 8 times
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 60 orders are accepted
    And at least 8 messages of payment-commands are parked

  @F4.6 @without:payment.dead-letter/every-order-final
  Scenario: Commands that lack the amount stand before the commands of customers
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "payment-commands-without-amount" is injected
    And customers have placed 40 more orders
    And the customers stop
    And the fault is felt 8 times
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 8 messages of payment-commands are parked

  @F4.4 @without:order.producer-idempotence/provider-attempts-bounded
  Scenario: Acknowledgements are lost, and only the producer keeps commands from being stored twice
    Given the defence payment.inbox-dedup is off
    # However often an acknowledgement is lost, the client is not to give up what the broker has stored.
    And the setting KAFKA_DELIVERY_TIMEOUT_MS of order-service is "20000"
    And the setting PROVIDER_TIMEOUT_MS of payment-service is "10000"
    And customers place 20 orders per second
    When the fault "payment-command-acknowledgements-lost" is injected until it was felt 8 times
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And the provider saw at most 1 attempt per order
    And at least 10 orders are accepted

  @F4.4 @without:payment.inbox-dedup/provider-attempts-bounded
  Scenario: Acknowledgements are lost, commands are stored twice, and each is carried out once
    Given the defence order.producer-idempotence is off
    And the setting KAFKA_DELIVERY_TIMEOUT_MS of order-service is "20000"
    And the setting PROVIDER_TIMEOUT_MS of payment-service is "10000"
    And customers place 20 orders per second
    When the fault "payment-command-acknowledgements-lost" is injected until it was felt 8 times
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And the provider saw at most 1 attempt per order
    And at least 10 orders are accepted

  @F4.5 @without:order.outbox-ack/every-order-final
  Scenario: The queue does not acknowledge in time
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "queue-not-acknowledging" is injected
    And customers have placed 60 more orders
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 60 orders are accepted

  @F4.2 @F4.8 @without:order.backpressure/refusals-seen
  Scenario: Orders come faster than they can be passed on
    Given the setting OUTBOX_BATCH of order-service is "5"
    And the setting INTAKE_CLOSES_AT of order-service is "60"
    And the setting INTAKE_OPENS_AT of order-service is "20"
    And customers place 40 orders per second
    When customers have placed 20 orders
    And the fault "order-queue-link-slow" is injected
    And customers have placed 160 more orders
    And the fault heals
    And customers have placed 40 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 20 attempts are refused with "503 overloaded"
    And at least 40 orders are accepted

  @F4.3 @without:order.message-size-check/every-order-final
  Scenario: Some customers write more than the queue takes
    Given the setting KAFKA_MESSAGE_LIMIT_BYTES of order-service is "4000"
    And customers place 20 orders per second
    And customers with notes of 5000 characters place 5 orders per second
    When customers have placed 15 orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 15 attempts are refused with "413 order_too_large"
    And at least 20 orders are accepted
