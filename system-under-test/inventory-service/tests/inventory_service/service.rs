//! The whole service: order events in, answers out.

use std::time::Duration;

use contracts::{OrderEvent, OrderEventKind, topic};
use inventory_service::config::Config;
use kafka_broker::{Broker, BrokerConfig, OffsetReset, Record};
use serde_json::Value;
use service_kit::service::Service;

use crate::support::{Warehouse, event, paid};

const LIMIT: Duration = Duration::from_secs(20);
const GROUP: &str = "inventory-service";

pub(crate) async fn broker() -> (Broker, String) {
    let broker = Broker::new(BrokerConfig::default());
    for name in [
        topic::ORDER_EVENTS,
        topic::INVENTORY_EVENTS,
        "order-events.dead",
    ] {
        broker.create_topic(name, 2).expect("a topic");
    }
    let listener = broker.listen("inventory", None).await.expect("a listener");
    let address = format!("127.0.0.1:{}", listener.port());
    (broker, address)
}

pub(crate) async fn started(
    warehouse: &Warehouse,
    brokers: &str,
    more: &[(&str, &str)],
) -> Service {
    let mut values = vec![
        ("DATABASE_URL", warehouse.database.url.as_str()),
        ("KAFKA_BROKERS", brokers),
        ("KAFKA_SESSION_TIMEOUT_MS", "1000"),
        ("KAFKA_HEARTBEAT_MS", "100"),
        ("KAFKA_WORK_PAUSE_MS", "5"),
    ];
    values.extend(more);
    let service = service_testing::start(
        inventory_service::NAME,
        &values,
        Config::read,
        inventory_service::start,
    )
    .await;
    service_testing::eventually("ready", async || service.health.readiness().await.ready).await;
    service
}

pub(crate) fn append(broker: &Broker, event: &OrderEvent) {
    let payload = contracts::write(event).expect("written").to_string();
    let key = event.order_id.to_string();
    let partition = i32::from(event.order_id.as_bytes()[15] & 1);
    broker
        .append(
            topic::ORDER_EVENTS,
            partition,
            Some(key.as_bytes()),
            Some(payload.as_bytes()),
            &[],
        )
        .expect("appended");
}

fn records(broker: &Broker, topic: &str) -> Vec<Record> {
    (0..2)
        .flat_map(|partition| {
            broker
                .records(topic, partition, 0)
                .expect("the topic is there")
        })
        .collect()
}

fn answers(broker: &Broker) -> Vec<Value> {
    let read =
        |record: Record| serde_json::from_slice(&record.value.unwrap_or_default()).expect("JSON");
    records(broker, topic::INVENTORY_EVENTS)
        .into_iter()
        .map(read)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_orders_are_answered_and_a_replay_changes_nothing() {
    let warehouse = Warehouse::new(&[], 1, 3).await;
    let (broker, brokers) = broker().await;
    let service = started(&warehouse, &brokers, &[]).await;
    for _ in 0..5 {
        let paid = paid(&[("p-0", 1)]);
        append(&broker, &paid);
        append(&broker, &paid);
    }
    append(&broker, &event(OrderEventKind::Placed, &[("p-0", 1)]));
    broker
        .append(topic::ORDER_EVENTS, 0, None, Some(b"noise"), &[])
        .expect("appended");

    let answered = broker
        .wait_for(LIMIT, |broker| {
            answers(broker).len() == 10 && broker.lag(GROUP) == 0
        })
        .await;
    assert!(answered, "{:?}", answers(&broker));
    let taken = answers(&broker)
        .iter()
        .filter(|answer| answer["kind"] == "taken")
        .count();
    assert_eq!(
        taken, 6,
        "three orders, each answered twice with the same message"
    );
    let mut ids: Vec<_> = answers(&broker)
        .iter()
        .map(|answer| answer["message_id"].to_string())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    assert_eq!(records(&broker, "order-events.dead").len(), 1);

    broker
        .reset_offsets(GROUP, topic::ORDER_EVENTS, OffsetReset::Earliest)
        .expect("reset");
    let replayed = broker
        .wait_for(LIMIT, |broker| {
            answers(broker).len() == 20 && broker.lag(GROUP) == 0
        })
        .await;
    assert!(replayed, "every answer is given again");
    assert_eq!(
        (warehouse.given().await, warehouse.on_hand("p-0").await),
        (3, 0)
    );
    service_testing::stop(&service).await;
}
