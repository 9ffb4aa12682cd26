Feature: Layer 1, from the shop page to the gateway
  A real browser runs the shop's page. What it sends and hears is told by the browser itself.

  @F1.3
  Scenario Outline: DNS does not lead customers to the shop, because it <does what>
    # Nobody can be charged for what was never sent, and whoever comes later finds the shop again.
    Given the order pipeline is running
    And 40 products with 50 units each in stock
    And new customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "<fault>" is injected until it was felt 10 times
    And customers have placed 20 more orders
    And the fault heals
    And customers have placed 40 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 5 attempts are refused with "not sent"
    And at least 40 orders are accepted

    Examples:
      | does what                       | fault                    |
      | says that there is no such name | shop-name-unknown        |
      | fails itself                    | shop-name-server-failing |

  @F1.3
  Scenario: DNS does not lead customers to the shop, because it does not answer
    # Whoever asked while it was silent gives up only after a while, and is still under way when the others find the shop again.
    Given the order pipeline is running
    And 40 products with 50 units each in stock
    And new customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "shop-name-silent" is injected until it was felt 10 times
    And the fault heals
    And customers have placed 140 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 5 attempts are refused with "not sent"
    And at least 40 orders are accepted

  @F1.7 @without:frontend.retry-same-key/no-duplicate-charge @without:order.idempotency-key/no-duplicate-charge
  Scenario: The page gives up waiting, and the shopper presses pay again
    Given the order pipeline is running
    And 3 products with 20 units each in stock
    And a shopper has the shop open in a browser
    When the shopper buys 1 unit of product 1
    And the shopper sees that the order is fulfilled
    And the fault "shop-answers-late" is injected
    And the shopper buys 2 units of product 2
    And the fault is felt 1 time
    And the fault heals
    And the shopper presses pay again
    And the shopper sees that the order is fulfilled
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 1 attempt is left without an answer
    And exactly 3 units are sold

  @F1.2
  Scenario Outline: The gateway shows a certificate that is not to be believed, and customers send it nothing
    Given the order pipeline is running
    And 40 products with 50 units each in stock
    And customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "<fault>" is injected until it was felt 10 times
    And the fault heals
    And customers have placed 30 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And nobody trusted the server while the fault "<fault>" was in force
    And at least 40 orders are accepted

    @without:frontend.tls-verify/nobody-trusted
    Examples:
      | fault                         |
      | gateway-certificate-untrusted |

    Examples:
      | fault                                |
      | gateway-certificate-expired          |
      | gateway-certificate-for-another-host |

  @F1.2
  Scenario: Handshakes with the gateway break half-way, and customers have sent nothing by then
    Given the order pipeline is running
    And 40 products with 50 units each in stock
    And new customers place 20 orders per second
    When customers have placed 20 orders
    And the fault "gateway-handshake-cut" is injected until it was felt 10 times
    And customers have placed 20 more orders
    And the fault heals
    And customers have placed 40 more orders
    And the customers stop
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And at least 5 attempts are refused with "not sent"
    And at least 40 orders are accepted

  @F1.2
  Scenario: The shopper's browser does not believe the gateway, and the page says that nothing was heard
    Given the order pipeline is running
    And 3 products with 20 units each in stock
    And a shopper has the shop open in a browser
    When the fault "gateway-certificate-untrusted" is injected
    And the shopper buys 2 units of product 1
    And the shopper reads "We could not reach the shop."
    And the fault is felt 1 time
    And the fault heals
    And the shopper presses pay again
    And the shopper sees that the order is fulfilled
    And the pipeline settles within 30 seconds
    Then every promise is kept
    And nobody trusted the server while the fault "gateway-certificate-untrusted" was in force
    And exactly 2 units are sold
