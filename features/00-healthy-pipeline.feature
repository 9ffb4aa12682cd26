Feature: The healthy pipeline
  Nothing is injected. Whatever is found here is wrong with the pipeline or with firedrill.

  Scenario: Customers order and nothing goes wrong
    Given the order pipeline is running
    And 40 products with 50 units each in stock
    And customers place 40 orders per second
    When customers have placed 40 orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 40 orders are accepted
    And at most 0 percent of the attempts fail
    And the provider saw at most 1 attempt per order

  # So much load is a measurement: with other drills beside it, it would measure the machine.
  @alone
  Scenario: A thousand orders at a hundred a second
    Given the order pipeline is running
    And 40 products with 1000 units each in stock
    And customers place 100 orders per second
    When customers have placed 1000 orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 1000 orders are accepted
    And at most 0 percent of the attempts fail
    And no component's memory grows by more than 30 percent
