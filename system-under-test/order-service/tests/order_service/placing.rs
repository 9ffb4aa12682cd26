//! Placing orders over HTTP, against a real PostgreSQL.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use order_service::defences::Defence;

use tokio::task::JoinSet;

use crate::support::{Shop, id_of, order};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_stored_with_everything_that_belongs_to_it() {
    let shop = Shop::new(&[]).await;
    let (status, answer) = shop.post(Some("k-1"), &order("r-1")).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(
        (&answer["state"], &answer["amount_minor"]),
        (&"payment_pending".into(), &300.into())
    );
    assert_eq!(shop.count("select count(*) from order_lines").await, 1);
    assert_eq!(shop.count("select count(*) from audit").await, 2);
    assert_eq!(shop.count("select count(*) from idempotency_keys").await, 1);
    assert_eq!(shop.count("select count(*) from outbox where topic = 'payment-commands' and payload->>'kind' = 'charge'").await, 1);
    assert_eq!(shop.count("select count(*) from outbox where topic = 'order-events' and payload->>'kind' = 'placed'").await, 1);
    let path = format!("/orders/{}", id_of(&answer));
    let (status, read) = shop
        .send(Request::get(path).body(Body::empty()).expect("a request"))
        .await;
    assert_eq!((status, &read["version"]), (StatusCode::OK, &2.into()));
    let (status, products) = shop
        .send(
            Request::get("/products")
                .body(Body::empty())
                .expect("a request"),
        )
        .await;
    assert_eq!(
        (status, products.as_array().map(Vec::len)),
        (StatusCode::OK, Some(3))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_no_trace() {
    let shop = Shop::new(&[]).await;
    let lines = |lines: &str| format!(r#"{{"reference":"r","customer_id":"c","lines":{lines}}}"#);
    let cases = [
        (
            lines(r#"[{"product_id":"p-0001","quantity":1},{"product_id":"none","quantity":1}]"#),
            422,
            "unknown_product",
            "lines[1].product_id",
        ),
        (
            lines(r#"[{"product_id":"p-0001","quantity":1},{"product_id":"p-usd","quantity":1}]"#),
            422,
            "mixed_currencies",
            "lines",
        ),
        (
            lines(r#"[{"product_id":"p-0001","quantity":0}]"#),
            400,
            "invalid",
            "lines[0].quantity",
        ),
        ("{".to_owned(), 400, "invalid", ""),
    ];
    for (body, expected, code, field) in cases {
        let (status, answer) = shop.post(Some("k"), &body).await;
        assert_eq!(status.as_u16(), expected, "{body}");
        assert_eq!(answer["error"]["code"], code, "{body}");
        assert_eq!(
            answer["error"]["field"].as_str().unwrap_or_default(),
            field,
            "{body}"
        );
    }
    let without_type = Request::post("/orders")
        .body(Body::from(order("r")))
        .expect("a request");
    assert_eq!(
        shop.send(without_type).await.0,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let left = "select (select count(*) from orders) + (select count(*) from outbox) + (select count(*) from idempotency_keys)";
    assert_eq!(shop.count(left).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_taken_only_at_the_price_that_was_shown() {
    let shop = Shop::new(&[]).await;
    let at = |price: &str| order("r").replacen('{', &format!("{{{price},"), 1);
    let shown = at(r#""amount_minor":300,"currency":"EUR""#);
    sqlx::query("update products set price_minor = 175 where product_id = 'p-0001'")
        .execute(&shop.database.pool)
        .await
        .expect("a new price");
    let (status, answer) = shop.post(Some("k"), &shown).await;
    assert_eq!(
        (status, &answer["error"]["code"], &answer["error"]["field"]),
        (
            StatusCode::CONFLICT,
            &"price_changed".into(),
            &"amount_minor".into()
        )
    );
    assert_eq!(
        (&answer["amount_minor"], &answer["currency"]),
        (&350.into(), &"EUR".into())
    );
    assert_eq!(answer["lines"][0]["price_minor"], 175);
    let left = "select (select count(*) from orders) + (select count(*) from outbox) + (select count(*) from idempotency_keys)";
    assert_eq!(shop.count(left).await, 0);

    let agreed = at(r#""amount_minor":350,"currency":"EUR""#);
    let (status, answer) = shop.post(Some("k"), &agreed).await;
    assert_eq!(
        (status, &answer["amount_minor"]),
        (StatusCode::CREATED, &350.into())
    );

    let silent = Shop::new(&[Defence::PriceCheck]).await;
    let (status, answer) = silent.post(Some("k"), &at(r#""amount_minor":1"#)).await;
    assert_eq!(
        (status, &answer["amount_minor"]),
        (StatusCode::CREATED, &300.into()),
        "without the defence the present price is taken"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_over_is_refused_before_any_work() {
    let shop = Shop::new(&[]).await;
    let late = Request::post("/orders")
        .header("content-type", "application/json")
        .header("x-deadline-ms", "0");
    let (status, answer) = shop
        .send(late.body(Body::from(order("r"))).expect("a request"))
        .await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"deadline_over".into())
    );
    assert_eq!(shop.count("select count(*) from orders").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_order_is_not_found() {
    let shop = Shop::new(&[]).await;
    for path in [
        "/orders/none",
        "/orders/018f0000-0000-7000-8000-000000000000",
    ] {
        let (status, _) = shop
            .send(Request::get(path).body(Body::empty()).expect("a request"))
            .await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
}

/// Places the same order under the same key many times at once; returns the statuses and the distinct orders.
async fn at_once(shop: &Arc<Shop>) -> (Vec<u16>, BTreeSet<uuid::Uuid>) {
    let mut customers = JoinSet::new();
    for _ in 0..20 {
        let shop = shop.clone();
        customers.spawn(async move { shop.post(Some("k-1"), &order("r-1")).await });
    }
    let answers = customers.join_all().await;
    let statuses = answers.iter().map(|(status, _)| status.as_u16()).collect();
    (
        statuses,
        answers.iter().map(|(_, answer)| id_of(answer)).collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_at_once_places_one_order() {
    let shop = Arc::new(Shop::new(&[]).await);
    let (statuses, orders) = at_once(&shop).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 19);
    assert_eq!(orders.len(), 1);
    assert_eq!(shop.count("select count(*) from orders").await, 1);
    let (status, answer) = shop.post(Some("k-1"), &order("another")).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::CONFLICT, &"idempotency_key_reused".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_defence_the_key_is_ignored() {
    let shop = Arc::new(Shop::new(&[Defence::IdempotencyKey]).await);
    let (statuses, orders) = at_once(&shop).await;
    assert!(statuses.iter().all(|status| *status == 201));
    assert_eq!(orders.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_strict_parsing_a_partial_order_is_taken() {
    let shop = Shop::new(&[Defence::StrictParsing]).await;
    let lines =
        r#"[{"product_id":"p-0001","quantity":1},{"product_id":"p-0002","quantity":"two"}]"#;
    let body = format!(r#"{{"reference":"r","customer_id":"c","lines":{lines}}}"#);
    assert_eq!(shop.post(None, &body).await.0, StatusCode::CREATED);
    assert_eq!(shop.count("select count(*) from order_lines").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_free_connection_nothing_is_done_and_that_is_said() {
    let shop = Shop::new(&[]).await;
    sqlx::query("alter table orders rename to orders_away")
        .execute(&shop.database.pool)
        .await
        .expect("renamed");
    let (status, answer) = shop.post(Some("k"), &order("r")).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"overloaded".into())
    );
    sqlx::query("alter table orders_away rename to orders")
        .execute(&shop.database.pool)
        .await
        .expect("renamed");
    assert_eq!(shop.count("select count(*) from idempotency_keys").await, 0);
    assert_eq!(
        shop.post(Some("k"), &order("r")).await.0,
        StatusCode::CREATED
    );
}
