Feature: Layer 8, what was queued during downtime is let out

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F8.10 @without:payment.half-open/fault-felt-bounded
  Scenario: A provider that was left alone is tried with one call, not with all that wait
    # Quick retries without a budget, so that only the circuit stands between the queue and the provider.
    Given the setting BREAKER_OPEN_MS of payment-service is "1000"
    And the setting BREAKER_PROBES of payment-service is "1"
    And the setting BACKOFF_CAP_MS of payment-service is "50"
    And the setting RETRY_BUDGET_MIN_PER_S of payment-service is "1000"
    And customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "provider-gone" is injected for 6 seconds
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 0 orders end declined
    And the fault "provider-gone" was felt at most 60 times
