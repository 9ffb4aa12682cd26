//! Fault rules: what they hurt, what they spare, how they are counted.

use crate::clients::{
    LIMIT, broker, client, consumer, duplicates, next, producer, send_numbered, stored,
};
use crate::wire::Wire;
use kafka_broker::{ApiKey, BrokerConfig, BrokerError, FaultAction, FaultRule};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::time::{Duration, Instant};

const NOT_LEADER: i16 = 6;
const MESSAGE_TOO_LARGE: i16 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_retriable_error_is_retried_and_has_no_effect_on_the_log() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let rule = FaultRule::new(ApiKey::Produce, FaultAction::Error(NOT_LEADER)).times(3);
    let rule = broker.add_fault(rule).expect("rule");
    send_numbered(&producer(&listener, false, &[]), "orders", 0, 20).await;
    assert_eq!(
        (
            stored(&broker, "orders").len(),
            duplicates(&broker, "orders")
        ),
        (20, 0)
    );
    assert_eq!(broker.fault_acted(rule), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_hurts_only_what_it_names() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    let other = broker.listen("other", None).await.expect("listen");
    broker.create_topic("orders", 1).expect("topic");
    broker.create_topic("events", 1).expect("topic");
    let error = FaultRule::new(ApiKey::Produce, FaultAction::Error(MESSAGE_TOO_LARGE));
    let rule = FaultRule {
        listener: Some("service".into()),
        topic: Some("orders".into()),
        ..error
    };
    let rule = broker.add_fault(rule).expect("rule");
    let hurt: FutureProducer = client(&listener).create().expect("producer");
    let spared: FutureProducer = client(&other).create().expect("producer");
    let record = |topic| -> FutureRecord<'_, (), str> { FutureRecord::to(topic).payload("value") };
    hurt.send(record("events"), LIMIT)
        .await
        .expect("another topic");
    spared
        .send(record("orders"), LIMIT)
        .await
        .expect("another listener");
    hurt.send(record("orders"), LIMIT)
        .await
        .expect_err("this one");
    assert_eq!(broker.remove_fault(rule), Some(1));
    assert_eq!(broker.remove_fault(rule), None);
    hurt.send(record("orders"), LIMIT).await.expect("healed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_commit_answer_leaves_the_offset_committed() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    broker
        .append("orders", 0, None, Some(b"value"), &[])
        .expect("append");
    let lost = FaultRule::new(ApiKey::OffsetCommit, FaultAction::LoseAnswer).times(1);
    let rule = broker
        .add_fault(FaultRule {
            group: Some("workers".into()),
            ..lost
        })
        .expect("rule");
    let automatic = [
        ("enable.auto.commit", "true"),
        ("auto.commit.interval.ms", "50"),
    ];
    let member = consumer(&listener, "workers", "orders", &automatic);
    next(&member).await;
    let committed = |broker: &kafka_broker::Broker| {
        broker
            .group_progress()
            .iter()
            .any(|p| p.committed == Some(1))
    };
    assert!(broker.wait_for(LIMIT, committed).await);
    assert_eq!(broker.fault_acted(rule), Some(1));
}

#[tokio::test]
async fn delayed_and_refused_requests() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    let mut wire = Wire::connect(&listener).await;
    let delay = Duration::from_millis(50);
    let rule = broker
        .add_fault(FaultRule::new(ApiKey::Metadata, FaultAction::Delay(delay)))
        .expect("rule");
    let started = Instant::now();
    wire.metadata().await.expect("answer");
    assert!(started.elapsed() >= delay);
    assert_eq!(broker.remove_fault(rule), Some(1));
    let refuse = FaultRule::new(ApiKey::Metadata, FaultAction::Refuse).times(1);
    broker.add_fault(refuse).expect("rule");
    assert!(wire.metadata().await.is_err());
    Wire::connect(&listener)
        .await
        .metadata()
        .await
        .expect("spent");
}

#[tokio::test]
async fn a_rule_that_could_not_be_felt_is_refused() {
    let (broker, _listener) = broker(BrokerConfig::default()).await;
    for (api, action) in [
        (ApiKey::LeaveGroup, FaultAction::Error(NOT_LEADER)),
        (
            ApiKey::Metadata,
            FaultAction::Throttle(Duration::from_secs(1)),
        ),
        (ApiKey::Vote, FaultAction::Refuse),
    ] {
        let refused = broker.add_fault(FaultRule::new(api, action));
        assert!(
            matches!(refused, Err(BrokerError::UnsupportedFault { .. })),
            "{api:?} {action:?}"
        );
    }
}
