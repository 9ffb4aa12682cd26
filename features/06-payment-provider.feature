Feature: Layer 6, from the payment service to the external payment provider

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F6.5 @without:payment.idempotency-key/no-duplicate-charge
  Scenario: The card is charged and the answer is lost, again and again
    Given customers place 30 orders per second
    When the fault "provider-charged-answer-lost" is injected until it was felt 25 times
    And the fault heals
    And customers have placed 20 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 30 orders are accepted
    And at most 0 orders end declined
