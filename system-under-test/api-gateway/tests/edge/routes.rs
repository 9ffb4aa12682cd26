//! What is reachable, and where it leads.

use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::gateway::{Gateway, code, status};
use crate::instance::{Instance, Mood};

#[tokio::test]
async fn only_the_shops_routes_are_reachable() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[]).await;
    for path in [
        "/",
        "/health/ready",
        "/control/fail-points",
        "/metrics",
        "/ordersx",
    ] {
        let request = gateway
            .client
            .get(format!("https://{}{path}", gateway.address));
        assert_eq!(status(request).await, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(instance.seen().is_empty());
    let products = gateway
        .client
        .get(format!("https://{}/products", gateway.address));
    assert_eq!(status(products).await, StatusCode::CREATED);
}

#[tokio::test]
async fn each_path_leads_to_its_own_service() {
    let orders = Instance::start(Mood::Well).await;
    let inventory = Instance::start(Mood::Well).await;
    let stock_at = inventory.address.to_string();
    let settings = [("INVENTORY_SERVICE_ADDRESSES", stock_at.as_str())];
    let gateway = Gateway::start(&[orders.address], &settings).await;
    let token = gateway.issuer.token("c-1");
    for (method, path) in [
        (Method::POST, "/orders"),
        (Method::GET, "/orders/o-1"),
        (Method::POST, "/orders/o-1/cancel"),
        (Method::GET, "/products"),
        (Method::GET, "/stock"),
        (Method::GET, "/stock/p-1?fresh=1"),
    ] {
        assert_eq!(
            status(gateway.ask(method, path).bearer_auth(&token)).await,
            StatusCode::CREATED,
            "{path}"
        );
    }
    let lines = |instance: &Instance| -> Vec<String> {
        let seen = instance.seen();
        seen.iter()
            .map(|seen| seen.head.lines().next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(
        lines(&orders),
        [
            "post /orders http/1.1",
            "get /orders/o-1 http/1.1",
            "post /orders/o-1/cancel http/1.1",
            "get /products http/1.1"
        ]
    );
    assert_eq!(
        lines(&inventory),
        ["get /stock http/1.1", "get /stock/p-1?fresh=1 http/1.1"]
    );
    let written = gateway.ask(Method::POST, "/stock");
    assert_eq!(status(written).await, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_path_that_the_table_leaves_out_fails_fast() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [
        ("ROUTES", "/products=order-service"),
        ("DEFENCES_OFF", "gateway.route-check"),
    ];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    let response = gateway.post().send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(code(response).await, "no_route");
    assert!(instance.seen().is_empty());
}

#[tokio::test]
async fn a_path_that_climbs_out_of_its_route_is_refused() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[]).await;
    for path in [
        "/orders/../control/fail-points",
        "/orders/%2e%2e/metrics",
        "/orders/x\\..\\..\\metrics",
    ] {
        let mut connection = gateway.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        connection.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 400", "{path}");
    }
    assert!(instance.seen().is_empty());
}

const QUICK: (&str, &str) = ("READINESS_INTERVAL_MS", "10");

#[tokio::test]
async fn a_gateway_whose_routes_are_known_to_their_services_becomes_ready() {
    let instance = Instance::start(Mood::Hanging).await;
    let settings = [QUICK, ("UPSTREAM_ATTEMPT_MS", "50")];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    let reasons = gateway.service.health.readiness().await.reasons;
    assert!(
        reasons[0].contains("/stock leads to inventory-service, of which no instance answers")
            || reasons[0].contains("has not answered yet"),
        "{reasons:?}"
    );
    instance.set(Mood::Well);
    service_testing::eventually("every route is known", async || {
        gateway.service.health.readiness().await.ready
    })
    .await;
    assert!(instance.seen().is_empty(), "asking has no effect");
}

#[tokio::test]
async fn a_gateway_with_a_route_that_its_service_does_not_know_is_not_ready_and_sends_nothing_there()
 {
    let orders = Instance::start(Mood::Well).await;
    let inventory = Instance::start(Mood::Strange).await;
    let stock_at = inventory.address.to_string();
    let settings = [
        QUICK,
        ("INVENTORY_SERVICE_ADDRESSES", stock_at.as_str()),
        (
            "ROUTES",
            "/orders=inventory-service,/products=order-service",
        ),
    ];
    let gateway = Gateway::start(&[orders.address], &settings).await;
    service_testing::eventually("the gateway says what is wrong", async || {
        let reasons = gateway.service.health.readiness().await.reasons.join(" ");
        reasons.contains("/orders leads to inventory-service, which does not know it")
            && reasons.contains("/stock leads nowhere")
            && !reasons.contains("/products")
    })
    .await;
    let response = gateway.post().send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(code(response).await, "misrouted");
    assert!(inventory.seen().is_empty());
    let products = gateway.ask(Method::GET, "/products");
    assert_eq!(status(products).await, StatusCode::CREATED);
}

#[tokio::test]
async fn without_the_check_a_gateway_with_a_wrong_route_is_ready_and_customers_find_out() {
    let strange = Instance::start(Mood::Strange).await;
    let settings = [QUICK, ("DEFENCES_OFF", "gateway.route-check")];
    let gateway = Gateway::start(&[strange.address], &settings).await;
    assert!(gateway.service.health.readiness().await.ready);
    assert_eq!(status(gateway.post()).await, StatusCode::NOT_FOUND);
    assert_eq!(strange.seen().len(), 1);
}
