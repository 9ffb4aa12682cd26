Feature: Layer 6, from the payment service to the external payment provider

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F6.5 @without:payment.idempotency-key/no-duplicate-charge
  Scenario: The card is charged and the answer is lost, again and again
    Given customers place 20 orders per second
    When the fault "provider-charged-answer-lost" is injected until it was felt 20 times
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 30 orders are accepted
    And at most 0 orders end declined

  @F6.1 @without:payment.circuit-breaker/fault-felt-bounded @without:payment.retry/orders-in-state
  Scenario: The provider is out and is left alone until it is back
    # Quick retries without a budget, so that only the circuit stands between the queue and the provider.
    Given the setting BREAKER_FAILURES of payment-service is "3"
    And the setting BREAKER_OPEN_MS of payment-service is "1000"
    And the setting BREAKER_PROBES of payment-service is "1"
    And the setting BACKOFF_CAP_MS of payment-service is "100"
    And the setting RETRY_BUDGET_MIN_PER_S of payment-service is "1000"
    And customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "provider-fails-before-booking" is injected for 5 seconds
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 0 orders end declined
    And the fault "provider-fails-before-booking" was felt at most 50 times

  @F6.2 @without:payment.rate-limit/fault-felt-bounded
  Scenario: The provider refuses what exceeds its limit
    Given the setting BACKOFF_CAP_MS of payment-service is "50"
    And the setting RETRY_BUDGET_MIN_PER_S of payment-service is "1000"
    And customers place 30 orders per second
    When customers have placed 10 orders
    And the fault "provider-rate-limited" is injected for 6 seconds
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 0 orders end declined
    And the fault "provider-rate-limited" was felt at most 100 times

  @F6.3 @without:payment.version-check/orders-in-state
  Scenario: The provider retires the version of its API that it is asked in
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "provider-retires-version" is injected until it was felt 10 times
    And customers have placed 20 more orders
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 0 orders end declined

  @F6.4 @without:payment.request-timeout/every-order-final
  Scenario: The provider takes requests and never answers
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "provider-hanging" is injected until it was felt 4 times
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 0 orders end declined

  @F6.7 @without:payment.body-check/no-charge-without-order
  Scenario: The provider says 200 and means an error
    Given customers place 20 orders per second
    When the fault "provider-says-ok-but-failed" is injected until it was felt 10 times
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 orders are accepted
    And at most 0 orders end declined

  @F6.8 @without:payment.reconcile/no-charge-without-order
  Scenario: The provider charges the card and then says that it failed
    # A circuit that opens would spare most orders the error.
    Given the setting BREAKER_FAILURES of payment-service is "1000"
    And customers place 20 orders per second
    When the fault "provider-fails-after-booking" is injected for 4 seconds
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 0 orders end declined

  @F6.6 @without:payment.idempotency-key/no-duplicate-charge
  Scenario: Answers get lost, errors follow bookings, and every attempt carries the order's key
    Given customers place 20 orders per second
    When the fault "provider-charged-answer-lost" is injected until it was felt 5 times
    And the fault "provider-fails-after-booking" is injected until it was felt 5 times
    And every fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 0 orders end declined

  @F6.10 @without:payment.ca-reload/every-order-final
  Scenario: The provider moves to a certificate of another authority, of which the payment service learns later
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "provider-moves-to-another-authority" is injected until it was felt 10 times
    And customers have placed 10 more orders
    And the fault heals
    And customers have placed 20 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And nobody trusted the server while the fault "provider-moves-to-another-authority" was in force
    And at least 40 orders are accepted
    And at most 0 orders end declined

  @F6.10 @without:payment.tls-verify/nobody-trusted
  Scenario: Somebody answers in the place of the provider who cannot prove to be the provider
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "provider-certificate-untrusted" is injected for 3 seconds
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And nobody trusted the server while the fault "provider-certificate-untrusted" was in force
    And at most 0 orders end declined
