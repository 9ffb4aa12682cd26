//! The program itself: how it refuses, ends, dies and comes back.

#[path = "order_service/support.rs"]
mod support;

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

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
        self.program_with(&[("DATABASE_URL", &self.shop.database.url)])
            .await
    }

    async fn program_with(&self, database: &[(&str, &str)]) -> Program {
        let values = [
            ("INSTANCE", "order-service-1"),
            ("KAFKA_BROKERS", self.brokers.as_str()),
            ("KAFKA_SESSION_TIMEOUT_MS", "1000"),
            ("KAFKA_HEARTBEAT_MS", "100"),
            ("OUTBOX_POLL_MS", "50"),
        ];
        Program::ready(BINARY, &[&values, database].concat()).await
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

#[tokio::test(flavor = "multi_thread")]
async fn while_its_password_is_refused_it_takes_nothing_and_says_why_and_no_password() {
    let around = Surroundings::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    let url = around.shop.database.with_login("secret-1").await;
    std::fs::write(&file, "secret-1").expect("written");
    let database = [
        ("DATABASE_URL", url.as_str()),
        ("DATABASE_PASSWORD_FILE", file.to_str().expect("text")),
        ("DATABASE_PASSWORD_RELOAD_MS", "20"),
    ];
    let program = around.program_with(&database).await;
    let place = async |reference: &str| {
        let answer = program.ask("POST", "/orders", &order(reference)).await;
        answer.expect("an answer")
    };
    assert_eq!(place("before").await.0, 201);

    around.shop.database.change_password("secret-2").await;
    let begun = Instant::now();
    let (status, answer) = place("meanwhile").await;
    assert!(begun.elapsed() < Duration::from_secs(1), "quickly");
    assert_eq!(
        (status, &answer["error"]["code"]),
        (503, &"overloaded".into())
    );
    let mut said = answer.to_string();
    service_testing::eventually("it says that it is not ready", async || {
        let answer = program.ask("GET", "/health/ready", "").await;
        let (status, readiness) = answer.expect("an answer");
        said.push_str(&readiness.to_string());
        status == 503
    })
    .await;
    assert!(said.contains("database: it refuses the password"), "{said}");

    std::fs::write(&file, "secret-2").expect("written");
    service_testing::eventually("orders are taken again", async || {
        place("afterwards").await.0 == 201
    })
    .await;
    let kept = "select count(*) from orders where reference <> 'meanwhile'";
    assert_eq!(around.shop.count(kept).await, 2);
    assert_eq!(around.shop.count("select count(*) from orders").await, 2);
    let log = program.log();
    assert!(log.contains("password authentication failed"), "{log}");
    assert!(!format!("{said} {log}").contains("secret-"), "{said} {log}");
}
