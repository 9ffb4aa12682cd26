Feature: Quickstart
  A customer pays. The payment provider books the charge, and its answer never arrives.
  The pipeline must find out what happened, and nobody may be charged twice.

  Background:
    Given the order pipeline is running
    And 40 products with 25 units each in stock

  @F6.5 @without:payment.idempotency-key/no-duplicate-charge
  Scenario: The card is charged, and the answer is lost
    Given customers place 20 orders per second
    When the fault "provider-charged-answer-lost" is injected until it was felt 10 times
    And the fault heals
    And customers have placed 20 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 20 orders are accepted
