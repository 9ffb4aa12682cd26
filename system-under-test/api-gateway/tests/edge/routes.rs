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
    let settings = [("ROUTES", "/products=order-service")];
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
