Feature: A shop of another team

  @F1.7 @without:shop.charge-once/no-duplicate-charge
  Scenario: Customers lose answers and order again
    Given the order pipeline is running
    And 5 products with 100000 units each in stock
    And customers who try up to 5 times place 30 orders per second
    When the fault "shop-answers-lost" is injected until it was felt 5 times
    And the fault heals
    And customers have placed 30 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 20 orders are accepted
