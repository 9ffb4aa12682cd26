Feature: Layer 2, from the API gateway to the order service

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F2.4 @without:gateway.outlier-ejection/failures-bounded
  Scenario: One of two order instances is killed under load
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "order-instance-killed" is injected until it was felt 1 time
    And customers have placed 60 more orders
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 10 percent of the attempts fail

  @F2.4 @without:gateway.retry-only-safe/no-duplicate-charge
  Scenario: An order instance dies after it has stored an order and before it answers
    # What is retried must not hang on how many retries are left.
    Given the setting RETRY_BUDGET_MIN_PER_S of api-gateway is "50"
    And customers without idempotency keys place 10 orders per second
    When the fault "order-crash-after-commit-before-answer" is injected until it was felt 2 times
    And the fault heals
    And customers have placed 10 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept

  @F2.3 @without:gateway.waf/refusals-seen
  Scenario: A rule of the firewall is too strict and refuses honest customers
    # The notes that customers write are rows of this letter.
    Given the setting WAF_FORBIDDEN_WORDS of api-gateway is "nnnn"
    And customers with notes of 10 characters place 10 orders per second
    And customers place 20 orders per second
    When customers have placed 60 orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 10 attempts are refused with "403 waf_blocked"
    And at least 20 orders are accepted

  @F2.5 @without:gateway.readiness-routing/failures-bounded
  Scenario: An order instance starts anew and needs seconds before it can serve
    # Nobody is ejected and nothing is sent again, so that only what an instance says of itself keeps requests from it.
    Given the setting EJECTION_FAILURES of api-gateway is "1000"
    And the setting UPSTREAM_ATTEMPTS of api-gateway is "1"
    And customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "order-instance-starts-slowly" is injected
    And customers have placed 40 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 24 percent of the attempts fail

  @F1.6 @without:order.price-check/amount-is-price-shown
  Scenario: Prices rise while customers look at the old ones
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And all prices rise by 10 percent
    And customers have placed 20 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 15 attempts are refused with "409 price_changed"
    And at least 15 orders are accepted

  @F2.2 @without:gateway.jwt-verification/no-forged-order
  Scenario: Forgers order in the names of customers
    Given customers with forged tokens place 20 orders per second
    And customers place 20 orders per second
    When customers have placed 80 orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And no forged order is accepted
    And at most 0 attempts are refused with "401"

  @F2.2 @without:gateway.jwks-refresh/refusals-seen
  Scenario: The identity provider signs with a new key
    Given customers place 40 orders per second
    When customers have placed 20 orders
    And the fault "signing-key-rotated" is injected until it was felt 20 times
    And customers have placed 60 more orders
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 0 attempts are refused with "401"
    And at most 0 attempts are refused with "503 keys_unavailable"

  @F2.2 @without:gateway.jwks-refresh/refusals-seen
  Scenario: The old signing key is good for nothing at once
    # A customer whose token is refused fetches another one and tries again.
    Given customers place 20 orders per second
    When customers have placed 40 orders
    And the fault "signing-key-replaced" is injected until it was felt 20 times
    And customers have placed 120 more orders
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 60 attempts are refused with "401"
