Feature: Layer 13, infrastructure and platform

  Background:
    Given the order pipeline is running
    And 40 products with 50 units each in stock

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
