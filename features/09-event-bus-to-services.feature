Feature: Layer 9, from the event bus to the services behind it

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F9.1 @without:notification.schema-check/every-message-accounted
  Scenario: Events that do not say who ordered stand among those that do
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "order-events-without-customer" is injected
    And customers have placed 20 more orders
    And the customers stop
    And the fault is felt 8 times
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 8 messages of order-events are parked

  @F9.2 @without:notification.version-tolerance/messages-parked
  Scenario: Events of a later writer stand among those of today
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "order-events-with-new-field" is injected
    And customers have placed 20 more orders
    And the customers stop
    And the fault is felt 8 times
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 0 messages of order-events are parked

  @F9.4 @without:inventory.dedup/no-double-decrement
  Scenario: Every order event is published twice
    When the fault "every-event-twice" is injected
    And 30 customers order 1 unit of the same product at the same moment
    And the fault is felt 80 times
    And the fault heals
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And exactly 30 units are sold

  @F9.4 @without:order.inbox-dedup/audit-complete
  Scenario: Every answer to the order service is published twice, and only its inbox keeps it from believing so
    Given the defence order.version-check is off
    When the fault "every-event-twice" is injected
    And 30 customers order 1 unit of the same product at the same moment
    And the fault is felt 80 times
    And the fault heals
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And exactly 30 units are sold

  @F9.2 @without:payment.version-tolerance/messages-parked
  Scenario: An order service of a later build adds a field to its commands
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "payment-commands-with-new-fields" is injected
    And customers have placed 20 more orders
    And the customers stop
    And the fault is felt 8 times
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 0 messages of payment-commands are parked
  # A key is remembered for a while only: what is read again later must be recognised by the services themselves.
  @F9.8 @F12.4 @without:inventory.dedup/no-double-decrement @without:notification.dedup/told-once
  Scenario: Everything is read again from the beginning
    Given the setting KEY_MEMORY_MS of message-provider is "3000"
    And customers place 20 orders per second
    When customers have placed 30 orders
    And the customers stop
    And the pipeline settles within 30 seconds
    And 4 seconds pass
    And the fault "inventory-reads-everything-again" is injected until it was felt 60 times
    And the fault "notification-reads-everything-again" is injected until it was felt 60 times
    And the fault heals
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 30 orders are accepted

  # Customers ask more often than orders change, so every instance shows for a moment what it read last: here for longer than
  # usual, so that who looks again finds it on a busy machine as well.
  @F9.9 @without:order.read-your-writes/status-never-goes-backwards
  Scenario: Events come late while customers follow their orders, and some of them change their mind
    Given the setting STATUS_AGE_MS of order-service is "1500"
    And customers who follow their orders and change their mind place 3 orders per second
    And customers who follow their orders place 5 orders per second
    When the fault "order-events-late" is injected
    And customers have placed 15 orders
    And the fault is felt 30 times
    And the fault heals
    And customers have placed 15 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 30 orders are accepted
    And customers see of at least 15 orders that they are payment_pending
    And customers see of at least 5 orders that they are cancelling
    And customers see of at least 5 orders that they are fulfilled
