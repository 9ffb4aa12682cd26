//! What a failure between two effects leaves behind. One test, as fail-points belong to the whole process.

#[path = "order_service/support.rs"]
mod support;

use axum::http::StatusCode;
use order_service::FAIL_POINTS;
use order_service::defences::Defence;
use service_kit::fail_point::{self, Action, Order};
use support::{Shop, order};

fn fail_once(name: &str) {
    assert!(fail_point::arm(
        name,
        Order {
            action: Action::Error,
            delay_ms: 0,
            times: Some(1)
        }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn between_order_and_audit_it_is_both_or_neither() {
    fail_point::register(&FAIL_POINTS);
    let shop = Shop::new(&[]).await;
    fail_once("order.between-order-and-audit");
    let (status, _) = shop.post(Some("k"), &order("r")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        shop.count("select (select count(*) from orders) + (select count(*) from audit)")
            .await,
        0
    );

    let apart = Shop::new(&[Defence::AuditInTransaction]).await;
    fail_once("order.between-order-and-audit");
    let (status, _) = apart.post(Some("k"), &order("r")).await;
    assert_eq!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR,
        "the effect is unknown to the customer"
    );
    assert_eq!(apart.count("select count(*) from orders").await, 1);
    assert_eq!(apart.count("select count(*) from audit").await, 0);

    fail_once("order.after-commit-before-answer");
    let (status, _) = shop.post(Some("k"), &order("r")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let (status, _) = shop.post(Some("k"), &order("r")).await;
    assert_eq!(
        status,
        StatusCode::OK,
        "the order is found again under its key"
    );
    assert_eq!(shop.count("select count(*) from orders").await, 1);
}
