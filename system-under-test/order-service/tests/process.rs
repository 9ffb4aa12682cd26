//! The program itself: how it refuses, ends, dies and comes back.

#[path = "order_service/support.rs"]
mod support;

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use kafka_broker::{Broker, BrokerConfig};
use serde_json::Value;
use service_testing::Program;
use support::{Shop, order};

const BINARY: &str = env!("CARGO_BIN_EXE_order-service");
const SIGKILL: i32 = 9;

#[tokio::test(flavor = "multi_thread")]
async fn bad_settings_are_all_listed_and_nothing_starts() {
    let bad = [
        ("KAFKA_HEARTBEAT_MS", "soon"),
        ("DEFENCES_OFF", "order.outbx,payment.retry"),
        ("LOG", "="),
    ];
    let mut program = Program::spawn(BINARY, &bad);
    assert_eq!(program.ended().await.code(), Some(78));
    let log = program.log();
    for name in [
        "INSTANCE",
        "LOG",
        "DATABASE_URL",
        "KAFKA_BROKERS",
        "KAFKA_HEARTBEAT_MS",
        "order.outbx",
    ] {
        assert!(log.contains(name), "{name} is not in: {log}");
    }
    assert!(!log.contains("payment.retry"), "{log}");
}

struct Surroundings {
    shop: Shop,
    broker: Broker,
    brokers: String,
}

impl Surroundings {
    async fn new() -> Self {
        let broker = Broker::new(BrokerConfig::default());
        for topic in contracts::topic::ALL {
            broker.create_topic(topic, 2).expect("a topic");
        }
        let listener = broker.listen("orders", None).await.expect("a listener");
        Self {
            shop: Shop::new(&[]).await,
            brokers: format!("127.0.0.1:{}", listener.port()),
            broker,
        }
    }

    async fn program(&self) -> Program {
        let values = [
            ("INSTANCE", "order-service-1"),
            ("DATABASE_URL", self.shop.database.url.as_str()),
            ("KAFKA_BROKERS", self.brokers.as_str()),
            ("KAFKA_SESSION_TIMEOUT_MS", "1000"),
            ("KAFKA_HEARTBEAT_MS", "100"),
            ("OUTBOX_POLL_MS", "50"),
        ];
        Program::ready(BINARY, &values).await
    }

    fn ids_of_commands(&self) -> Vec<Value> {
        let mut ids = Vec::new();
        for partition in 0..2 {
            for record in self
                .broker
                .records("payment-commands", partition, 0)
                .expect("the topic is there")
            {
                let payload = record.value.unwrap_or_default();
                let message: Value = serde_json::from_slice(&payload).expect("JSON");
                ids.push(message["message_id"].clone());
            }
        }
        ids
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_within_its_grace() {
    let around = Surroundings::new().await;
    let mut program = around.program().await;
    let (status, _) = program
        .ask("GET", "/health/live", "")
        .await
        .expect("an answer");
    assert_eq!(status, 200);
    program.terminate();
    assert_eq!(program.ended().await.code(), Some(0), "{}", program.log());
    assert!(
        program
            .log()
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{}",
        program.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_publishing_it_publishes_the_same_message_again() {
    let around = Surroundings::new().await;
    let mut program = around.program().await;
    program.kill_at("order.after-publish-before-mark").await;
    let (status, _) = program
        .ask("POST", "/orders", &order("r"))
        .await
        .expect("an answer");
    assert_eq!(status, 201);
    assert_eq!(program.ended().await.signal(), Some(SIGKILL));
    let sent = around.ids_of_commands();
    assert_eq!(sent.len(), 1);

    let _again = around.program().await;
    let sent_again = around
        .broker
        .wait_for(Duration::from_secs(20), |_| {
            around.ids_of_commands().len() == 2
        })
        .await;
    assert!(sent_again);
    assert_eq!(
        around.ids_of_commands(),
        [sent[0].clone(), sent[0].clone()],
        "a copy, not another message"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_order_and_audit_it_leaves_neither() {
    let around = Surroundings::new().await;
    let mut program = around.program().await;
    let standings = program
        .ask("GET", "/control/fail-points", "")
        .await
        .expect("an answer")
        .1;
    assert_eq!(standings.as_object().map(serde_json::Map::len), Some(3));
    let unknown = program
        .ask("PUT", "/control/fail-points/none", r#"{"action":"kill"}"#)
        .await
        .expect("an answer");
    assert_eq!(unknown.0, 404);
    program.kill_at("order.between-order-and-audit").await;
    assert_eq!(program.ask("POST", "/orders", &order("r")).await, None);
    assert_eq!(program.ended().await.signal(), Some(SIGKILL));
    let rows = "select (select count(*) from orders) + (select count(*) from audit) + (select count(*) from outbox)";
    service_testing::eventually("the transaction is rolled back", async || {
        around.shop.count(rows).await == 0
    })
    .await;
}
