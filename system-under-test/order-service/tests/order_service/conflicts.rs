//! Transactions that a real PostgreSQL ends for the sake of another one.

use std::sync::Arc;

use axum::http::StatusCode;
use order_service::defences::Defence;
use order_service::domain::{Answer, State};
use order_service::store::StoreError;
use order_service::store::answer::Effect;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::answers::{answered, placed};
use crate::support::{Shop, order};

/// Takes a table from everybody who writes to it.
async fn take(connection: &mut PgConnection, table: &str) {
    let sql = sqlx::AssertSqlSafe(format!("lock table {table} in share mode"));
    sqlx::query(sql).execute(connection).await.expect("locked");
}

async fn somebody_waits(shop: &Shop) {
    so_many_wait(shop, 1).await;
}

async fn so_many_wait(shop: &Shop, many: i64) {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let what = format!("{many} wait");
    service_testing::eventually(&what, async || shop.count(sql).await >= many).await;
}

async fn begin(shop: &Shop) -> Transaction<'static, Postgres> {
    shop.database.pool.begin().await.expect("a transaction")
}

/// Places an order that becomes the victim of a deadlock.
async fn place_as_victim(shop: &Arc<Shop>) -> StatusCode {
    let (mut gate, mut other) = (begin(shop).await, begin(shop).await);
    // PostgreSQL ends the one who looks for a circle while there is one: after this time, counted from its own wait.
    sqlx::query("set local deadlock_timeout = '1min'")
        .execute(&mut *other)
        .await
        .expect("set");
    take(&mut gate, "order_lines").await;
    take(&mut other, "audit").await;
    let placing = tokio::spawn({
        let shop = shop.clone();
        async move { shop.post(Some("k"), &order("r")).await.0 }
    });
    so_many_wait(shop, 1).await;
    let taking = tokio::spawn(async move {
        take(&mut other, "orders").await;
        other.rollback().await.expect("let go");
    });
    so_many_wait(shop, 2).await;
    // The order goes on and closes the circle itself.
    gate.rollback().await.expect("let go");
    taking.await.expect("an end");
    placing.await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_victim_of_a_deadlock_is_run_again() {
    let shop = Arc::new(Shop::new(&[]).await);
    assert_eq!(place_as_victim(&shop).await, StatusCode::CREATED);
    assert!(shop.measures(r#"transaction_conflicts_total{state="40P01"} 1"#));
    assert_eq!(shop.count("select count(*) from orders").await, 1);

    let given_up = Arc::new(Shop::new(&[Defence::DeadlockRetry]).await);
    assert_eq!(
        place_as_victim(&given_up).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(given_up.measures(r#"transaction_conflicts_total{state="40P01"} 1"#));
    assert_eq!(given_up.count("select count(*) from orders").await, 0);
}

/// Applies an answer to an order that somebody else changes after it was read.
async fn apply_while_changed(shop: &Arc<Shop>) -> Result<Effect, StoreError> {
    let order_id = placed(shop).await;
    let mut other = begin(shop).await;
    sqlx::query("update orders set updated_at = now() where order_id = $1")
        .bind(order_id)
        .execute(&mut *other)
        .await
        .expect("changed");
    let applying = tokio::spawn({
        let store = shop.store.clone();
        async move { store.apply(answered(order_id, Answer::Charged)).await }
    });
    somebody_waits(shop).await;
    other.commit().await.expect("committed");
    applying.await.expect("an end")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_serialize_is_run_again() {
    let serializable = [("DATABASE_ISOLATION", "serializable")];
    let shop = Arc::new(Shop::with(&[], &serializable).await);
    let effect = apply_while_changed(&shop).await;
    assert_eq!(effect.expect("stored"), Effect::Moved(State::Paid));
    assert!(shop.measures(r#"transaction_conflicts_total{state="40001"} 1"#));
    assert_eq!(shop.count("select count(*) from audit").await, 3);

    let given_up = Arc::new(Shop::with(&[Defence::SerializationRetry], &serializable).await);
    let refusal = apply_while_changed(&given_up).await;
    assert!(
        matches!(refusal, Err(StoreError::GivenUp(_))),
        "{refusal:?}"
    );
    assert_eq!(given_up.count("select count(*) from audit").await, 2);

    let relaxed = Arc::new(Shop::new(&[]).await);
    let effect = apply_while_changed(&relaxed).await;
    assert_eq!(effect.expect("stored"), Effect::Moved(State::Paid));
    assert!(!relaxed.measures(r#"transaction_conflicts_total{state="40001"} 1"#));
}
