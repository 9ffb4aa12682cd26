//! Giving orders up over HTTP, against a real PostgreSQL.

use axum::http::StatusCode;
use order_service::defences::Defence;
use order_service::domain::{Answer, State};
use order_service::store::answer::Effect;
use uuid::Uuid;

use crate::answers::{answered, placed};
use crate::support::Shop;

async fn said(shop: &Shop) -> Vec<String> {
    let sql = "select payload->>'kind' from outbox order by outbox_id";
    sqlx::query_scalar(sql)
        .fetch_all(&shop.database.pool)
        .await
        .expect("read")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_given_up_while_it_is_paid_is_refunded() {
    let shop = Shop::new(&[]).await;
    let order_id = placed(&shop).await;
    for _ in 0..2 {
        let (status, answer) = shop.cancel(order_id).await;
        assert_eq!(
            (status, &answer["state"], &answer["version"]),
            (StatusCode::OK, &"cancelling".into(), &3.into())
        );
    }
    for (answer, state) in [
        (Answer::Charged, State::Refunding),
        (Answer::Refunded, State::Refunded),
    ] {
        let effect = shop.store.apply(answered(order_id, answer)).await;
        assert_eq!(effect.expect("stored"), Effect::Moved(state));
    }
    assert_eq!(
        said(&shop).await,
        ["placed", "charge", "refund", "refunded"]
    );
    assert_eq!(shop.count("select count(*) from audit").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_given_up_and_declined_is_cancelled() {
    let shop = Shop::new(&[]).await;
    let order_id = placed(&shop).await;
    shop.cancel(order_id).await;
    let effect = shop.store.apply(answered(order_id, Answer::Declined)).await;
    assert_eq!(effect.expect("stored"), Effect::Moved(State::Cancelled));
    assert_eq!(said(&shop).await, ["placed", "charge", "cancelled"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paid_or_unknown_cannot_be_given_up() {
    let shop = Shop::new(&[]).await;
    let order_id = placed(&shop).await;
    let effect = shop.store.apply(answered(order_id, Answer::Charged)).await;
    assert_eq!(effect.expect("stored"), Effect::Moved(State::Paid));
    let (status, answer) = shop.cancel(order_id).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::CONFLICT, &"too_late".into())
    );
    assert_eq!(shop.cancel(Uuid::nil()).await.0, StatusCode::NOT_FOUND);
}

/// Lets customers give orders up at the moment at which they are paid; returns the orders of whose audit trail two rows
/// follow the same one.
async fn lost_updates(shop: &Shop) -> i64 {
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let order_id = placed(shop).await;
        let (store, other) = (shop.store.clone(), shop.store.clone());
        racing.spawn(async move {
            let answer = answered(order_id, Answer::Charged);
            store.apply(answer).await.map(drop).expect("stored");
        });
        racing.spawn(async move { other.cancel(order_id).await.map(drop).expect("stored") });
    }
    racing.join_all().await;
    shop.count("select count(*) from (select from audit group by order_id, version having count(*) > 1) as twice")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_customer_and_payment_one_is_first() {
    let shop = Shop::new(&[]).await;
    assert_eq!(lost_updates(&shop).await, 0);
    let unchecked = Shop::new(&[Defence::VersionCheck]).await;
    assert!(lost_updates(&unchecked).await > 0);
}
