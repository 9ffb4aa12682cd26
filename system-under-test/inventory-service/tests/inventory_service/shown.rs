//! The stock that is shown: kept, told of changes, and never older than its bound.

use inventory_service::defences::Defence;
use serde_json::Value;
use service_kit::service::Service;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::{append, broker, started};
use crate::support::{Warehouse, kind, paid};

/// What `GET /stock` answers.
async fn shown(service: &Service) -> Vec<Value> {
    let address = service.http_address().expect("it serves");
    let mut connection = TcpStream::connect(address).await.expect("reached");
    let request = b"GET /stock HTTP/1.1\r\nhost: tests\r\nconnection: close\r\n\r\n";
    connection.write_all(request).await.expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("read");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("a list")
}

async fn shown_of(service: &Service, product_id: &str) -> i64 {
    let shown = shown(service).await;
    let of = shown.iter().find(|one| one["product_id"] == product_id);
    of.and_then(|one| one["on_hand"].as_i64()).expect("units")
}

/// Somebody changes the stock and tells nobody.
async fn change_silently(warehouse: &Warehouse, on_hand: i32) {
    sqlx::query("update stock set on_hand = $1")
        .bind(on_hand)
        .execute(&warehouse.database.pool)
        .await
        .expect("changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_product_is_shown_with_the_time_of_the_reading() {
    let (warehouse, (_broker, brokers)) = (Warehouse::new(&[], 2, 3).await, broker().await);
    let begun = OffsetDateTime::now_utc();
    let service = started(&warehouse, &brokers, &[]).await;
    let shown = shown(&service).await;
    assert_eq!(
        (shown.len(), &shown[1]["product_id"]),
        (2, &Value::from("p-1"))
    );
    assert_eq!(shown[1]["on_hand"], 3);
    let as_of = shown[1]["as_of"].as_str().expect("a text");
    let as_of = OffsetDateTime::parse(as_of, &Rfc3339).expect("a time");
    assert!(as_of >= begun && as_of <= OffsetDateTime::now_utc());
    service_testing::stop(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_shown_as_soon_as_it_is_heard_of_by_every_instance() {
    let (warehouse, (broker, brokers)) = (Warehouse::new(&[], 1, 9).await, broker().await);
    // Without a bound of age only the message can make it read anew.
    let kept = [("DEFENCES_OFF", "inventory.cache-ttl")];
    let one = started(&warehouse, &brokers, &kept).await;
    let other = started(&warehouse, &brokers, &kept).await;
    for service in [&one, &other] {
        assert_eq!(shown_of(service, "p-0").await, 9);
    }
    append(&broker, &paid(&[("p-0", 2)]));
    for service in [&one, &other] {
        service_testing::eventually("the change is shown", async || {
            shown_of(service, "p-0").await == 7
        })
        .await;
    }
    service_testing::stop(&one).await;
    service_testing::stop(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_message_a_change_is_shown_after_the_bound_and_not_without_the_bound() {
    let (warehouse, (_broker, brokers)) = (Warehouse::new(&[], 1, 9).await, broker().await);
    let bounded = started(&warehouse, &brokers, &[("STOCK_CACHE_MAX_AGE_MS", "200")]).await;
    let unbounded = [
        ("STOCK_CACHE_MAX_AGE_MS", "200"),
        ("DEFENCES_OFF", "inventory.cache-ttl"),
    ];
    let unbounded = started(&warehouse, &brokers, &unbounded).await;
    assert_eq!(shown_of(&bounded, "p-0").await, 9);
    assert_eq!(shown_of(&unbounded, "p-0").await, 9);
    change_silently(&warehouse, 4).await;
    service_testing::eventually("one bound", async || shown_of(&bounded, "p-0").await == 4).await;
    change_silently(&warehouse, 3).await;
    service_testing::eventually("another", async || shown_of(&bounded, "p-0").await == 3).await;
    assert_eq!(shown_of(&unbounded, "p-0").await, 9, "kept for ever");
    service_testing::stop(&bounded).await;
    service_testing::stop(&unbounded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_picture_sells_nothing_unless_the_row_is_not_asked() {
    let source = Warehouse::new(&[], 1, 5).await;
    source.store.shown_stock().await.expect("read");
    change_silently(&source, 1).await;
    let answer = source
        .store
        .process(&paid(&[("p-0", 3)]))
        .await
        .expect("stored");
    assert_eq!(
        (kind(&answer), source.on_hand("p-0").await),
        ("out_of_stock", 1)
    );

    for off in [
        &[Defence::CheckAtSource][..],
        &[Defence::CheckAtSource, Defence::AtomicDecrement],
    ] {
        let picture = Warehouse::new(off, 1, 5).await;
        picture.store.shown_stock().await.expect("read");
        change_silently(&picture, 1).await;
        let answer = picture
            .store
            .process(&paid(&[("p-0", 3)]))
            .await
            .expect("stored");
        assert_eq!(kind(&answer), "taken", "the picture has 5");
        // What the picture lacks it refuses, whatever the row has.
        change_silently(&picture, 100).await;
        let answer = picture
            .store
            .process(&paid(&[("p-0", 6)]))
            .await
            .expect("stored");
        assert_eq!(kind(&answer), "out_of_stock");
        picture.cache.invalidate();
        let answer = picture
            .store
            .process(&paid(&[("p-0", 6)]))
            .await
            .expect("stored");
        assert_eq!(kind(&answer), "taken");
    }
}
