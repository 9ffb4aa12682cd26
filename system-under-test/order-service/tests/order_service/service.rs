//! The whole service: an order's life from the commands it sends and the answers it gets.

use std::time::Duration;

use crate::support::{Shop, id_of, order};
use contracts::{Envelope, InventoryEventKind, PaymentResultKind};
use kafka_broker::{Broker, BrokerConfig, Record};
use order_service::config::Config;
use order_service::domain::State;
use service_kit::service::Service;
use time::OffsetDateTime;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(20);

async fn broker() -> (Broker, String) {
    let broker = Broker::new(BrokerConfig::default());
    for topic in contracts::topic::ALL {
        broker
            .create_topic(&format!("p-{topic}"), 2)
            .expect("a topic");
        broker
            .create_topic(&format!("p-{}", contracts::topic::dead(topic)), 2)
            .expect("a topic");
    }
    let listener = broker.listen("orders", None).await.expect("a listener");
    let address = format!("127.0.0.1:{}", listener.port());
    (broker, address)
}

async fn started(shop: &Shop, brokers: &str) -> Service {
    let values = [
        ("DATABASE_URL", shop.database.url.as_str()),
        ("KAFKA_BROKERS", brokers),
        ("TOPIC_PREFIX", "p-"),
        ("KAFKA_SESSION_TIMEOUT_MS", "1000"),
        ("KAFKA_HEARTBEAT_MS", "100"),
        ("KAFKA_WORK_PAUSE_MS", "5"),
        ("OUTBOX_POLL_MS", "50"),
    ];
    let service = service_testing::start(
        order_service::NAME,
        &values,
        Config::read,
        order_service::start,
    )
    .await;
    service_testing::eventually("ready", async || service.health.readiness().await.ready).await;
    service
}

fn records(broker: &Broker, topic: &str) -> Vec<Record> {
    (0..2)
        .flat_map(|partition| {
            broker
                .records(&format!("p-{topic}"), partition, 0)
                .expect("the topic is there")
        })
        .collect()
}

fn append(broker: &Broker, topic: &str, payload: &[u8]) {
    broker
        .append(&format!("p-{topic}"), 0, Some(b"k"), Some(payload), &[])
        .expect("appended");
}

fn say<K: contracts::Kind + serde::Serialize>(broker: &Broker, order_id: Uuid, body: K) {
    let message = Envelope::once_per_order(order_id, OffsetDateTime::now_utc(), body);
    let payload = contracts::write(&message).expect("written").to_string();
    // Everything is delivered twice, as a broker may.
    append(broker, K::TOPIC, payload.as_bytes());
    append(broker, K::TOPIC, payload.as_bytes());
}

async fn reaches(shop: &Shop, order_id: Uuid, state: State) {
    service_testing::eventually(state.name(), async || {
        let order = shop
            .store
            .order(order_id)
            .await
            .expect("read")
            .expect("there");
        order.state == state
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_lives_from_its_placing_to_its_end() {
    let shop = Shop::new(&[]).await;
    let (broker, brokers) = broker().await;
    let service = started(&shop, &brokers).await;
    let (_, answer) = shop.post(None, &order("r")).await;
    let order_id = id_of(&answer);
    let asked = broker
        .wait_for(LIMIT, |broker| {
            records(broker, "payment-commands").len() == 1
        })
        .await;
    assert!(asked, "the charge is asked for");

    say(
        &broker,
        order_id,
        PaymentResultKind::Charged {
            charge_id: "ch-1".into(),
        },
    );
    reaches(&shop, order_id, State::Paid).await;
    append(&broker, "inventory-events", b"noise");
    append(
        &broker,
        "inventory-events",
        br#"{"version":2,"kind":"taken"}"#,
    );
    say(&broker, Uuid::new_v4(), InventoryEventKind::Taken);
    say(&broker, order_id, InventoryEventKind::Taken);
    reaches(&shop, order_id, State::Fulfilled).await;

    let told = broker
        .wait_for(LIMIT, |broker| records(broker, "order-events").len() == 3)
        .await;
    assert!(told, "placed, paid, fulfilled");
    let lag = broker
        .wait_for(LIMIT, |broker| broker.lag("p-order-service") == 0)
        .await;
    assert!(lag, "everything is committed");
    let dead = records(&broker, "inventory-events.dead");
    assert_eq!(
        dead.len(),
        4,
        "noise, an unknown version, and an unknown order twice"
    );
    assert!(dead.iter().all(|record| {
        record
            .headers
            .iter()
            .any(|header| header.key == "dead-reason")
    }));
    assert_eq!(shop.count("select count(*) from audit").await, 4);
    service_testing::stop(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_why_the_tables_do_not_fit_until_they_are_repaired() {
    let shop = Shop::new(&[]).await;
    let (_broker, brokers) = broker().await;
    let service = started(&shop, &brokers).await;
    let change = async |sql: &'static str| {
        let changed = sqlx::query(sql).execute(&shop.database.pool).await;
        changed.expect("changed");
    };
    change("alter table order_lines rename column price_minor to price").await;
    service_testing::eventually("red", async || {
        let readiness = service.health.readiness().await;
        readiness.reasons.iter().any(|reason| {
            reason.starts_with("schema") && reason.contains("order_lines has no column price_minor")
        })
    })
    .await;
    change("alter table order_lines rename column price to price_minor").await;
    service_testing::eventually("ready", async || service.health.readiness().await.ready).await;
    service_testing::stop(&service).await;
}
