//! From the outbox to a broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Shop, id_of, order, store};
use kafka_broker::{Broker, BrokerConfig};
use order_service::config::Config;
use order_service::defences::Defence;
use order_service::events::relay::Relay;
use order_service::store::{Publication, Store};
use serde_json::Value;
use service_kit::defences::Defences;
use service_kit::kafka::Producer;
use service_kit::service::{Common, Service};
use service_kit::settings::Settings;
use tokio::sync::Notify;

const LIMIT: Duration = Duration::from_secs(20);

struct Outgoing {
    broker: Broker,
    brokers: String,
}

impl Outgoing {
    async fn new() -> Self {
        Self::with(BrokerConfig::default()).await
    }

    async fn with(settings: BrokerConfig) -> Self {
        let broker = Broker::new(settings);
        for topic in contracts::topic::ALL {
            broker.create_topic(topic, 4).expect("a topic");
        }
        let listener = broker.listen("orders", None).await.expect("a listener");
        Self {
            brokers: format!("127.0.0.1:{}", listener.port()),
            broker,
        }
    }

    fn read(&self, shop: &Shop) -> (Common, Config) {
        let values = [
            ("INSTANCE", "tests"),
            ("LISTEN_HTTP", "127.0.0.1:0"),
            ("DATABASE_URL", shop.database.url.as_str()),
            ("KAFKA_BROKERS", self.brokers.as_str()),
            ("KAFKA_SOCKET_TIMEOUT_MS", "500"),
            ("KAFKA_DELIVERY_TIMEOUT_MS", "1500"),
            ("KAFKA_RECONNECT_BACKOFF_MAX_MS", "100"),
            ("OUTBOX_POLL_MS", "20"),
            ("OUTBOX_BATCH", "7"),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings::read(values, |settings| {
            (Common::read(settings), Config::read(settings))
        })
        .expect("good settings")
    }

    /// Starts a relay over the shop's database.
    fn relay(&self, shop: &Shop, off: &[Defence]) -> Service {
        let (common, mut config) = self.read(shop);
        config.defences = Defences::without(off.iter().copied());
        let service = Service::new("order-service", common);
        let stored = Arc::new(Notify::new());
        let store = store(
            &shop.database,
            &config.defences,
            Publication::ThroughOutbox(stored.clone()),
        );
        let producer = self.producer(&config);
        let relay = Relay::new(store, producer, stored, &config, &service);
        service.spawn("relay", relay.run());
        service
    }

    fn producer(&self, config: &Config) -> Producer {
        Producer::new(&config.kafka, "tests", true).expect("a producer")
    }

    /// The values in a topic, by key, in their order.
    fn published(&self, topic: &str) -> BTreeMap<String, Vec<Value>> {
        let mut published: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for partition in 0..4 {
            for record in self
                .broker
                .records(topic, partition, 0)
                .expect("the topic is there")
            {
                let key = String::from_utf8(record.key.unwrap_or_default().to_vec()).expect("text");
                let value =
                    serde_json::from_slice(&record.value.unwrap_or_default()).expect("JSON");
                published.entry(key).or_default().push(value);
            }
        }
        published
    }
}

async fn unpublished(shop: &Shop) -> i64 {
    shop.count("select count(*) from outbox where published_at is null")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_publish_everything_once_and_in_the_order_of_each_order() {
    let (shop, outgoing) = (Shop::new(&[]).await, Outgoing::new().await);
    for number in 0..20 {
        let (_, answer) = shop.post(None, &order(&format!("r-{number}"))).await;
        let order_id = id_of(&answer);
        // Four more events of the same order, so that their order can be seen.
        for sequence in 2..6 {
            let payload = serde_json::json!({"sequence": sequence});
            sqlx::query("insert into outbox (message_id, topic, message_key, payload) values ($1, 'order-events', $2, $3)")
                .bind(uuid::Uuid::new_v4())
                .bind(order_id.to_string())
                .bind(payload)
                .execute(&shop.database.pool)
                .await
                .expect("stored");
        }
    }
    let relays = [outgoing.relay(&shop, &[]), outgoing.relay(&shop, &[])];
    service_testing::eventually("the outbox is empty", async || {
        unpublished(&shop).await == 0
    })
    .await;
    let events = outgoing.published("order-events");
    assert_eq!(events.len(), 20);
    for (key, values) in events {
        let sequences: Vec<_> = values
            .iter()
            .map(|value| value["sequence"].as_i64().unwrap_or_default())
            .collect();
        assert_eq!(sequences, [1, 2, 3, 4, 5], "order {key}");
    }
    assert_eq!(outgoing.published("payment-commands").len(), 20);
    for relay in &relays {
        service_testing::stop(relay).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_is_away_messages_wait() {
    let (shop, outgoing) = (Shop::new(&[]).await, Outgoing::new().await);
    outgoing.broker.set_down(None, true).await.expect("down");
    let relay = outgoing.relay(&shop, &[]);
    shop.post(None, &order("r-1")).await;
    let free = "select count(*) from (select from outbox for update skip locked) as free";
    service_testing::eventually("the relay tries", async || shop.count(free).await == 0).await;
    assert_eq!(unpublished(&shop).await, 2);
    outgoing.broker.set_down(None, false).await.expect("up");
    service_testing::eventually("the outbox is empty", async || {
        unpublished(&shop).await == 0
    })
    .await;
    assert_eq!(outgoing.published("payment-commands").len(), 1);
    service_testing::stop(&relay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_acknowledgement_messages_count_as_published_that_are_not() {
    let (shop, outgoing) = (Shop::new(&[]).await, Outgoing::new().await);
    outgoing.broker.set_down(None, true).await.expect("down");
    let relay = outgoing.relay(&shop, &[Defence::OutboxAck]);
    shop.post(None, &order("r-1")).await;
    service_testing::eventually("marked", async || unpublished(&shop).await == 0).await;
    assert!(outgoing.published("payment-commands").is_empty());
    service_testing::stop(&relay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_outbox_a_message_is_sent_once_and_forgotten() {
    let (shop, outgoing) = (Shop::new(&[]).await, Outgoing::new().await);
    let (_, config) = outgoing.read(&shop);
    let direct = |producer: Producer| -> Store {
        store(
            &shop.database,
            &Defences::all(),
            Publication::Direct(producer),
        )
    };
    let new = order_service::store::place::NewOrder {
        reference: "r".into(),
        customer_id: "c".into(),
        lines: vec![("p-0001".into(), 1)],
        note: None,
        shown: None,
        key: None,
    };
    let producer = outgoing.producer(&config);
    direct(producer.clone()).place(&new).await.expect("placed");
    assert_eq!(unpublished(&shop).await, 0);
    let sent = outgoing
        .broker
        .wait_for(LIMIT, |_| outgoing.published("payment-commands").len() == 1)
        .await;
    assert!(sent, "with a healthy broker it arrives");

    outgoing.broker.set_down(None, true).await.expect("down");
    direct(producer.clone()).place(&new).await.expect("placed");
    assert_eq!(unpublished(&shop).await, 0, "nothing remembers it");
    // The client gives it up after its delivery timeout; then nobody will ever send it.
    assert!(producer.flush(LIMIT).await);
    outgoing.broker.set_down(None, false).await.expect("up");
    assert_eq!(outgoing.published("payment-commands").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kafka_never_takes_is_parked_and_those_behind_it_go_on() {
    let settings = BrokerConfig {
        max_message_bytes: 2_000,
        ..BrokerConfig::default()
    };
    let (shop, outgoing) = (
        Shop::new(&[Defence::MessageSizeCheck]).await,
        Outgoing::with(settings).await,
    );
    let note = format!(r#"{{"note":"{}","#, "n".repeat(5_000));
    let (_, large) = shop.post(None, &order("r-1").replacen('{', &note, 1)).await;
    let (_, small) = shop.post(None, &order("r-2")).await;
    let behind = serde_json::json!({"sequence": 2});
    sqlx::query("insert into outbox (message_id, topic, message_key, payload) values ($1, 'order-events', $2, $3)")
        .bind(uuid::Uuid::new_v4())
        .bind(id_of(&large).to_string())
        .bind(behind)
        .execute(&shop.database.pool)
        .await
        .expect("stored");
    let relay = outgoing.relay(&shop, &[]);
    let waiting = "select count(*) from outbox where published_at is null and parked_at is null";
    service_testing::eventually("nothing waits", async || shop.count(waiting).await == 0).await;
    let parked = "select count(*) from outbox where parked_reason is not null and length(payload->>'note') = 5000";
    assert_eq!(shop.count(parked).await, 1);
    let events = outgoing.published("order-events");
    let of = |answer: &Value| events[&id_of(answer).to_string()].len();
    assert_eq!((of(&large), of(&small)), (1, 1));
    assert_eq!(outgoing.published("payment-commands").len(), 2);
    let metrics = relay.metrics.text().expect("metrics");
    assert!(metrics.contains("outbox_parked_total 1"), "{metrics}");
    service_testing::stop(&relay).await;
}
