//! How much is taken in while messages wait, against a real PostgreSQL.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use order_service::intake::Bounds;
use service_kit::shutdown::Shutdown;
use tower::ServiceExt;

use crate::support::{Shop, order};

const BOUNDS: Bounds = Bounds {
    close_at: 6,
    open_at: 2,
};
const LOOK: Duration = Duration::from_millis(10);

async fn publish(shop: &Shop, all_but: i64) {
    let sql = "update outbox set published_at = now() where outbox_id in (
        select outbox_id from outbox where published_at is null order by outbox_id desc offset $1)";
    sqlx::query(sql)
        .bind(all_but)
        .execute(&shop.database.pool)
        .await
        .expect("published");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_too_many_messages_wait_orders_are_refused_with_a_time_to_come_back() {
    let shop = Shop::new(&[]).await;
    let shutdown = Shutdown::default();
    let watching = shop
        .intake
        .clone()
        .watch(shop.store.clone(), BOUNDS, LOOK, shutdown.clone());
    let watching = tokio::spawn(watching);
    // Each order says two things.
    for number in 0..3 {
        let (status, _) = shop.post(None, &order(&format!("r-{number}"))).await;
        assert_eq!(status, StatusCode::CREATED);
    }
    service_testing::eventually("it closes", async || !shop.intake.is_open()).await;
    let request = Request::post("/orders").header("content-type", "application/json");
    let request = request.body(Body::from(order("r"))).expect("a request");
    let refusal = shop.routes().oneshot(request).await.expect("an answer");
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refusal.headers()["retry-after"], "1");
    assert!(shop.measures("intake_closed 1"));
    assert_eq!(shop.count("select count(*) from orders").await, 3);

    publish(&shop, 4).await;
    let waiting = shop.store.unpublished(100).await.expect("counted");
    shop.intake.note(BOUNDS, waiting);
    assert!(!shop.intake.is_open(), "between the bounds it stays closed");
    publish(&shop, 2).await;
    service_testing::eventually("it opens", async || shop.intake.is_open()).await;
    assert_eq!(shop.post(None, &order("r")).await.0, StatusCode::CREATED);
    assert!(shop.measures("intake_closed 0"));
    shutdown.begin();
    watching.await.expect("it ends").expect("it ends well");
}
