Feature: Layer 12, the inventory service

  @F12.1 @without:inventory.atomic-decrement/exactly-the-stock-sold
  Scenario: Thirty customers want the last five units
    Given the order pipeline is running
    And 1 product with 5 units in stock
    When the fault "stock-race-window" is injected
    And 30 customers order 1 unit of the same product at the same moment
    And the fault is felt 10 times
    And the fault heals
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And exactly 5 units are sold
    And at least 25 orders end refunded

  @F12.5 @without:inventory.deadlock-retry/every-order-final
  Scenario: Somebody takes the stock of two products the other way round
    Given the order pipeline is running
    And 2 products with 500 units each in stock
    And customers place 20 orders per second
    When the fault "stock-taken-crosswise" is injected until it was felt 3 times
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 20 orders are accepted

  @F12.5 @without:inventory.lock-order/every-order-final
  Scenario: Orders name the same products in opposite order
    Given the order pipeline is running
    And 2 products with 100 units each in stock
    And the defence inventory.deadlock-retry is off
    When the fault "stock-race-window" is injected
    And 30 customers order 1 unit each of the same 2 products at the same moment, every other one in the opposite order
    And the fault is felt 30 times
    And the fault heals
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And exactly 60 units are sold

  @F12.6 @without:inventory.cache-ttl/shown-stock-true
  Scenario: Nobody who shows the stock hears that it has changed
    Given the order pipeline is running
    And 3 products with 40 units each in stock
    When the stock is shown
    And the fault "stock-changes-unheard" is injected
    And 10 customers order 1 unit of the same product at the same moment
    # Long enough for every order to be answered while nobody hears of it.
    And 3 seconds pass
    And the pipeline settles within 30 seconds
    And 2 seconds pass
    Then every promise is kept
    And the stock that is shown is true

  @F12.6 @without:inventory.check-at-source/stock-never-negative
  Scenario: Customers want the last units while what is shown of them is old
    Given the order pipeline is running
    And the setting STOCK_CACHE_MAX_AGE_MS of inventory-service is "60000"
    And 1 product with 5 units in stock
    When the stock is shown
    And the fault "stock-changes-unheard" is injected
    And 20 customers order 1 unit of the same product at the same moment
    And 20 customers order 1 unit of the same product at the same moment
    # One message for each order, whether it got its unit or not, and each of two instances loses it.
    And the fault is felt 30 times
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And exactly 5 units are sold
    And at least 10 orders end refunded
