//! What is limited so that a slow or lost database costs little, against a real PostgreSQL.

use axum::http::StatusCode;
use order_service::defences::Defence;
use serde_json::Value;

use crate::support::{Shop, order};

async fn code_of_placing(shop: &Shop) -> (StatusCode, Value) {
    let (status, answer) = shop.post(None, &order("r")).await;
    (status, answer["error"]["code"].clone())
}

/// Refused because there is nothing to do it with; certainly nothing was done.
fn shed() -> (StatusCode, Value) {
    (StatusCode::SERVICE_UNAVAILABLE, "overloaded".into())
}

/// Nothing came of it within the request's limit, and nobody knows what did.
fn waited_in_vain() -> (StatusCode, Value) {
    (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_free_connection_is_refused_before_his_time_is_up() {
    let settings = [
        ("DATABASE_CONNECTIONS", "2"),
        ("DATABASE_ACQUIRE_LIMIT_MS", "100"),
        ("REQUEST_LIMIT_MS", "2000"),
    ];
    for (off, expected) in [
        (&[][..], shed()),
        (&[Defence::PoolTimeout][..], waited_in_vain()),
    ] {
        let shop = Shop::with(off, &settings).await;
        let first = shop.pool.acquire().await.expect("a connection");
        let second = shop.pool.acquire().await.expect("a connection");
        assert_eq!(code_of_placing(&shop).await, expected);
        drop((first, second));
        service_testing::eventually("orders are taken again", async || {
            code_of_placing(&shop).await.0 == StatusCode::CREATED
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waits_for_a_lock_is_ended() {
    let settings = [
        ("DATABASE_STATEMENT_LIMIT_MS", "200"),
        ("REQUEST_LIMIT_MS", "2000"),
    ];
    for (off, expected) in [
        (&[][..], shed()),
        (&[Defence::StatementTimeout][..], waited_in_vain()),
    ] {
        let shop = Shop::with(off, &settings).await;
        let mut holder = shop.database.pool.begin().await.expect("a transaction");
        sqlx::query("lock table products in access exclusive mode")
            .execute(&mut *holder)
            .await
            .expect("locked");
        assert_eq!(code_of_placing(&shop).await, expected);
        holder.rollback().await.expect("let go");
        assert_eq!(code_of_placing(&shop).await.0, StatusCode::CREATED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_lost_are_replaced() {
    let settings = [("DATABASE_CONNECTIONS", "2")];
    let lose_all = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                    where datname = current_database() and application_name = 'tests'";
    let shop = Shop::with(&[], &settings).await;
    let stuck = Shop::with(&[Defence::Reconnect], &settings).await;
    for shop in [&shop, &stuck] {
        let both = (
            shop.pool.acquire().await.expect("a connection"),
            shop.pool.acquire().await.expect("a connection"),
        );
        drop(both);
        assert_eq!(code_of_placing(shop).await.0, StatusCode::CREATED);
        assert_eq!(shop.count(lose_all).await, 2);
    }
    service_testing::eventually("orders are taken again", async || {
        code_of_placing(&shop).await.0 == StatusCode::CREATED
    })
    .await;
    for _ in 0..3 {
        assert_eq!(code_of_placing(&stuck).await, shed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_safe_before_it_is_acknowledged() {
    for (off, expected) in [(&[][..], "on"), (&[Defence::SyncCommit][..], "off")] {
        let shop = Shop::new(off).await;
        let setting: String = sqlx::query_scalar("show synchronous_commit")
            .fetch_one(&shop.pool)
            .await
            .expect("shown");
        assert_eq!(setting, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_answers_are_worked_on_at_a_time() {
    let at_a_time = async |off: &[Defence]| {
        let shop = Shop::with(off, &[("KAFKA_CONCURRENT_MESSAGES", "3")]).await;
        shop.config.consuming().concurrent_messages
    };
    assert_eq!(at_a_time(&[]).await, 3);
    assert!(at_a_time(&[Defence::ConcurrencyLimit]).await >= 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_says_more_than_kafka_takes_is_refused() {
    let settings = [("KAFKA_MESSAGE_LIMIT_BYTES", "2000")];
    let noted = |length: usize| {
        let note = "n".repeat(length);
        order("r").replacen('{', &format!(r#"{{"note":"{note}","#), 1)
    };
    let shop = Shop::with(&[], &settings).await;
    let (status, answer) = shop.post(Some("k"), &noted(3_000)).await;
    assert_eq!(
        (status, &answer["error"]["code"], &answer["error"]["field"]),
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            &"order_too_large".into(),
            &"note".into()
        )
    );
    assert_eq!(
        shop.count(
            "select (select count(*) from orders) + (select count(*) from idempotency_keys)"
        )
        .await,
        0
    );
    assert_eq!(
        shop.post(Some("k"), &noted(500)).await.0,
        StatusCode::CREATED
    );
    let told = "select count(*) from outbox where topic = 'order-events' and length(payload->>'note') = 500";
    assert_eq!(shop.count(told).await, 1);

    let unchecked = Shop::with(&[Defence::MessageSizeCheck], &settings).await;
    assert_eq!(
        unchecked.post(None, &noted(3_000)).await.0,
        StatusCode::CREATED
    );
}
