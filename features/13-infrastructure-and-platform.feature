Feature: Layer 13, infrastructure and platform

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

  @F13.2 @without:gateway.graceful-shutdown/answers-in-time
  Scenario: The gateway is evicted while orders are under way
    Given customers place 20 orders per second
    When the fault "order-database-far" is injected
    And the fault "gateway-evicted" is injected until it was felt 4 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 3 percent of the attempts are left without an answer
    And at least 20 orders are accepted

  @F13.2 @without:payment.graceful-shutdown/provider-attempts-bounded
  Scenario: Instances of the payment service are evicted while cards are charged
    Given customers place 20 orders per second
    When the fault "provider-slow" is injected
    And the fault "payment-instances-evicted" is injected until it was felt 4 times
    And the fault heals
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And the provider saw at most 1 attempt per order

  @F13.6 @without:gateway.dns-ttl/failures-bounded
  Scenario: The order service has moved, and DNS tells of it late
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "order-service-moved" is injected until it was felt 2 times
    And the fault heals
    And customers have placed 80 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 60 percent of the attempts fail

  @F13.7 @without:gateway.certificate-reload/failures-bounded
  Scenario: The gateway's certificate expires while it serves, and a renewed one lies ready in time
    # It is started with the certificate that will expire: customers who come just then are refused.
    Given customers place 20 orders per second
    When customers have placed 10 orders
    And the fault "gateway-certificate-expires" is injected
    And customers have placed 150 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 35 percent of the attempts fail

  @F13.9 @without:order.secret-reload/failures-bounded
  Scenario: The order service's database password is changed at the database, and the service is told later
    Given customers place 20 orders per second
    When customers have placed 40 orders
    And the fault "order-database-password-rotated" is injected until it was felt 10 times
    And customers have placed 20 more orders
    And the fault heals
    And customers have placed 120 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 15 attempts are refused with "503 overloaded"
    And at least 100 orders are accepted
    And at most 45 percent of the attempts fail

  @F13.9 @without:payment.secret-reload/every-order-final
  Scenario: The payment service's database password is changed at the database, and the service is told later
    Given customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "payment-database-password-rotated" is injected until it was felt 10 times
    And customers have placed 20 more orders
    And the fault heals
    And customers have placed 20 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at most 10 percent of the attempts fail
