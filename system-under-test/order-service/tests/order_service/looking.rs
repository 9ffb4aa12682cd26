//! Looking at orders over HTTP: copies that are shown for a while, and never to who has seen more.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use order_service::defences::Defence;
use order_service::domain::Answer;
use serde_json::Value;
use uuid::Uuid;

use crate::answers::{answered, placed};
use crate::support::{Shop, id_of, order};

/// Longer than any test.
const KEPT: [(&str, &str); 1] = [("STATUS_AGE_MS", "3600000")];

async fn look(shop: &Shop, order_id: Uuid, query: &str) -> (StatusCode, Value) {
    let request = Request::get(format!("/orders/{order_id}{query}"));
    shop.send(request.body(Body::empty()).expect("a request"))
        .await
}

/// The version that is shown.
async fn version(shop: &Shop, order_id: Uuid, query: &str) -> i64 {
    let (status, answer) = look(shop, order_id, query).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["version"].as_i64().expect("a version")
}

/// Another instance takes the payment's answer, and tells this one nothing.
async fn paid_elsewhere(shop: &Shop, order_id: Uuid) {
    let moved = sqlx::query("update orders set state = 'paid', version = 3 where order_id = $1")
        .bind(order_id)
        .execute(&shop.database.pool)
        .await;
    assert_eq!(moved.expect("moved").rows_affected(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_with_an_order_says_its_version() {
    let shop = Shop::with(&[], &KEPT).await;
    for _ in 0..2 {
        let (_, answer) = shop.post(Some("k"), &order("r")).await;
        assert_eq!(answer["version"], 2);
        assert_eq!(version(&shop, id_of(&answer), "").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_shown_until_somebody_asks_who_has_seen_more() {
    let shop = Shop::with(&[], &KEPT).await;
    let order_id = placed(&shop).await;
    assert_eq!(version(&shop, order_id, "").await, 2);
    paid_elsewhere(&shop, order_id).await;
    for query in ["", "?seen=1", "?seen=2", "?other=3"] {
        assert_eq!(version(&shop, order_id, query).await, 2, "{query}");
    }
    let (_, answer) = look(&shop, order_id, "?seen=3").await;
    assert_eq!(
        (&answer["state"], &answer["version"]),
        (&"paid".into(), &3.into())
    );
    assert_eq!(version(&shop, order_id, "").await, 3, "it is renewed");
    // Nobody has seen it; whoever says so is shown what there is.
    assert_eq!(version(&shop, order_id, "?seen=9").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_over_after_its_age_and_there_is_none_without_one() {
    let brief = Shop::with(&[], &[("STATUS_AGE_MS", "100")]).await;
    let order_id = placed(&brief).await;
    assert_eq!(version(&brief, order_id, "").await, 2);
    paid_elsewhere(&brief, order_id).await;
    service_testing::eventually("the copy is over", async || {
        version(&brief, order_id, "").await == 3
    })
    .await;

    let none = Shop::with(&[], &[("STATUS_AGE_MS", "0")]).await;
    let order_id = placed(&none).await;
    assert_eq!(version(&none, order_id, "").await, 2);
    paid_elsewhere(&none, order_id).await;
    assert_eq!(version(&none, order_id, "").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_instance_changes_itself_it_shows_at_once() {
    let shop = Shop::with(&[], &KEPT).await;
    let order_id = placed(&shop).await;
    assert_eq!(version(&shop, order_id, "").await, 2);
    let (_, given_up) = shop.cancel(order_id).await;
    assert_eq!(given_up["version"], 3);
    assert_eq!(version(&shop, order_id, "").await, 3);
    let charged = answered(order_id, Answer::Charged);
    shop.store.apply(charged).await.expect("stored");
    assert_eq!(version(&shop, order_id, "").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_defence_who_has_seen_more_is_shown_the_older_copy() {
    let shop = Shop::with(&[Defence::ReadYourWrites], &KEPT).await;
    let order_id = placed(&shop).await;
    assert_eq!(version(&shop, order_id, "").await, 2);
    let (_, given_up) = shop.cancel(order_id).await;
    assert_eq!(given_up["version"], 3);
    assert_eq!(version(&shop, order_id, "?seen=3").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seen_version_that_is_none_is_refused_by_name() {
    let shop = Shop::new(&[]).await;
    let order_id = placed(&shop).await;
    for query in [
        "?seen=",
        "?seen",
        "?seen=two",
        "?seen=0",
        "?seen=-1",
        "?seen=%2B2",
        "?seen=1.5",
        "?seen=2147483648",
        "?seen=2&seen=2",
    ] {
        let (status, answer) = look(&shop, order_id, query).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer["error"]["field"], "seen", "{query}");
    }
    assert_eq!(version(&shop, order_id, "?seen=2147483647").await, 2);
}
