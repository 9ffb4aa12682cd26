Feature: Layer 3, from the order service to its database

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F3.7 @without:order.audit-in-transaction/audit-complete
  Scenario: The order service dies between an order's row and its audit row
    Given customers place 20 orders per second
    When the fault "order-crash-between-order-and-audit" is injected until it was felt 3 times
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders are accepted

  @F3.7 @without:order.audit-in-transaction/audit-complete
  Scenario: Connections to the database are reset between an order's row and its audit row
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "order-database-resets-in-the-middle" is injected
    And customers have placed 20 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 20 orders are accepted

  @F3.2 @without:order.deadlock-retry/every-order-final
  Scenario: Transactions of the order service are the victims of deadlocks
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "order-tables-taken-crosswise" is injected until it was felt 3 times
    And the fault heals
    And customers have placed 20 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 20 orders are accepted

  @F3.4 @without:order.serialization-retry/every-order-final
  Scenario: Customers give orders up while they are paid, and transactions do not serialize
    Given the setting DATABASE_ISOLATION of order-service is "serializable"
    And customers who change their mind place 10 orders per second
    When the fault "order-changes-slowly" is injected until it was felt 80 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 1 order ends refunded

  @F3.8 @without:order.version-check/audit-complete
  Scenario: Customers give orders up at the moment at which they are paid
    Given customers who change their mind place 10 orders per second
    When the fault "order-changes-slowly" is injected until it was felt 80 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 1 order ends refunded

  @F3.3 @without:order.statement-timeout/answers-in-time
  Scenario: Somebody holds a table that every order needs
    Given the setting DATABASE_STATEMENT_LIMIT_MS of order-service is "400"
    # Without a limit every connection waits with an order that nobody hears of again: so many that they show.
    And the setting DATABASE_CONNECTIONS of order-service is "10"
    And customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "products-locked" is injected
    And customers have placed 60 more orders
    And the fault heals
    And customers have placed 20 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 10 percent of the attempts are left without an answer
    And at least 30 orders are accepted

  @F3.1 @without:order.pool-timeout/answers-in-time
  Scenario: Transactions that take long hold every connection to the database
    Given the setting DATABASE_CONNECTIONS of order-service is "3"
    And the setting DATABASE_ACQUIRE_LIMIT_MS of order-service is "200"
    And customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "products-locked" is injected
    And customers have placed 60 more orders
    And the fault heals
    And customers have placed 20 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 30 percent of the attempts are left without an answer
    And at least 30 orders are accepted

  @without:order.reconnect/failures-bounded
  Scenario: Every connection to the database is lost, again and again
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "order-database-cut-off-repeatedly" is injected
    And customers have placed 140 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 50 percent of the attempts fail
