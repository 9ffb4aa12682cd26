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
