//! The program itself, killed between reading a message and taking the stock.

#[path = "inventory_service/support.rs"]
mod support;

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use contracts::topic;
use kafka_broker::{Broker, BrokerConfig};
use service_testing::{Program, eventually};
use support::{Warehouse, paid};

const BINARY: &str = env!("CARGO_BIN_EXE_inventory-service");
const SIGKILL: i32 = 9;

/// What became of a paid order on which the service was at work when it was asked to end: exit code, units taken.
async fn taken_after_termination(defences_off: &str) -> (Option<i32>, i64) {
    let warehouse = Warehouse::new(&[], 1, 3).await;
    let broker = Broker::new(BrokerConfig::default());
    for topic in [topic::ORDER_EVENTS, topic::INVENTORY_EVENTS] {
        broker.create_topic(topic, 1).expect("a topic");
    }
    let listener = broker.listen("inventory", None).await.expect("a listener");
    let brokers = format!("127.0.0.1:{}", listener.port());
    let values = [
        ("INSTANCE", "inventory-service-1"),
        ("DATABASE_URL", warehouse.database.url.as_str()),
        ("KAFKA_BROKERS", brokers.as_str()),
        ("DEFENCES_OFF", defences_off),
    ];
    let mut program = Program::ready(BINARY, &values).await;
    let point = "inventory.before-decrement";
    let path = format!("/control/fail-points/{point}");
    let delay = r#"{"action":"delay","delay_ms":1000,"times":1}"#;
    let armed = program.ask("PUT", &path, delay).await;
    assert_eq!(armed.map(|(status, _)| status), Some(200));
    let payload = contracts::write(&paid(&[("p-0", 1)]))
        .expect("written")
        .to_string();
    let (key, payload) = (Some(&b"k"[..]), Some(payload.as_bytes()));
    broker
        .append(topic::ORDER_EVENTS, 0, key, payload, &[])
        .expect("appended");
    eventually("it is at work", async || {
        let points = program.ask("GET", "/control/fail-points", "").await;
        points.is_some_and(|(_, points)| points[point]["acted"] == 1)
    })
    .await;
    program.terminate();
    let code = program.ended().await.code();
    (code, warehouse.given().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_it_finishes_what_it_is_at_and_without_the_defence_it_does_not() {
    assert_eq!(taken_after_termination("").await, (Some(0), 1));
    let abrupt = taken_after_termination("inventory.graceful-shutdown").await;
    assert_eq!(abrupt, (Some(143), 0));
}

/// Units taken for one paid order when the service is killed at a marked moment and started again.
async fn taken_after_kill_at(fail_point: &str, defences_off: &str) -> i64 {
    let warehouse = Warehouse::new(&[], 1, 3).await;
    let broker = Broker::new(BrokerConfig::default());
    for topic in [topic::ORDER_EVENTS, topic::INVENTORY_EVENTS] {
        broker.create_topic(topic, 1).expect("a topic");
    }
    let listener = broker.listen("inventory", None).await.expect("a listener");
    let brokers = format!("127.0.0.1:{}", listener.port());
    let values = [
        ("INSTANCE", "inventory-service-1"),
        ("DATABASE_URL", warehouse.database.url.as_str()),
        ("KAFKA_BROKERS", brokers.as_str()),
        ("KAFKA_SESSION_TIMEOUT_MS", "1000"),
        ("KAFKA_HEARTBEAT_MS", "100"),
        ("DEFENCES_OFF", defences_off),
    ];
    let mut program = Program::ready(BINARY, &values).await;
    program.kill_at(fail_point).await;
    let payload = contracts::write(&paid(&[("p-0", 1)]))
        .expect("written")
        .to_string();
    broker
        .append(
            topic::ORDER_EVENTS,
            0,
            Some(b"k"),
            Some(payload.as_bytes()),
            &[],
        )
        .expect("appended");
    assert_eq!(
        program.ended().await.signal(),
        Some(SIGKILL),
        "{}",
        program.log()
    );

    let _again = Program::ready(BINARY, &values).await;
    let committed = |broker: &Broker| {
        broker
            .group_progress()
            .iter()
            .any(|progress| progress.committed == Some(1))
    };
    assert!(
        broker.wait_for(Duration::from_secs(20), committed).await,
        "the event was not committed"
    );
    warehouse.given().await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_decrement_it_takes_the_stock_after_its_restart() {
    assert_eq!(
        taken_after_kill_at("inventory.before-decrement", "").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_work_it_does_not_take_the_stock_again() {
    assert_eq!(
        taken_after_kill_at("inventory.after-work-before-commit", "").await,
        1
    );
    assert_eq!(
        taken_after_kill_at("inventory.after-work-before-commit", "inventory.dedup").await,
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_offset_committed_first_the_order_is_forgotten() {
    assert_eq!(
        taken_after_kill_at("inventory.before-decrement", "inventory.commit-after-work").await,
        0
    );
}
