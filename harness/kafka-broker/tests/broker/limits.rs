//! What the broker holds is bounded, and whoever meets a bound is told.

use crate::clients::{LIMIT, broker, client, consumer, next, producer, send_numbered};
use crate::wire::Wire;
use kafka_broker::{ApiKey, BrokerConfig, BrokerError, FaultAction, FaultRule};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use std::time::{Duration, Instant};

#[tokio::test]
async fn partitions_and_bytes_have_a_limit_over_all_topics() {
    let (broker, _listener) = broker(BrokerConfig {
        max_total_partitions: 5,
        max_stored_bytes: 500,
        ..BrokerConfig::default()
    })
    .await;
    broker.create_topic("orders", 3).expect("topic");
    assert!(matches!(
        broker.create_topic("events", 3),
        Err(BrokerError::CreateTopic { .. })
    ));
    broker.create_topic("events", 2).expect("topic");
    broker.delete_topic("orders").expect("deleted");
    broker
        .create_topic("orders", 3)
        .expect("there is room again");

    let append = |topic| broker.append(topic, 0, None, Some(&[7; 300]), &[]);
    append("orders").expect("append");
    assert!(matches!(append("events"), Err(BrokerError::Append { .. })));
    broker.delete_records("orders", 0, 1).expect("deleted");
    append("events").expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_answers_no_more_than_its_limit_at_a_time_and_nothing_is_lost() {
    let (broker, listener) = broker(BrokerConfig {
        max_fetch_bytes: 200,
        ..BrokerConfig::default()
    })
    .await;
    broker.create_topic("orders", 1).expect("topic");
    send_numbered(&producer(&listener, false, &[]), "orders", 0, 100).await;
    let member = consumer(&listener, "workers", "orders", &[]);
    for number in 0..100 {
        assert_eq!(next(&member).await.2, number.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_members_have_a_limit() {
    let (broker, listener) = broker(BrokerConfig {
        max_groups: 1,
        max_group_members: 1,
        ..BrokerConfig::default()
    })
    .await;
    broker.create_topic("orders", 2).expect("topic");
    let _member = consumer(&listener, "workers", "orders", &[]);
    crate::clients::stable(&broker, "workers", 1).await;
    for (group, refusal) in [
        ("workers", RDKafkaErrorCode::GroupMaxSizeReached),
        ("others", RDKafkaErrorCode::PolicyViolation),
    ] {
        let refused: BaseConsumer = client(&listener)
            .set("group.id", group)
            .create()
            .expect("consumer");
        refused.subscribe(&["orders"]).expect("subscribe");
        let error = tokio::task::spawn_blocking(move || {
            refused.poll(LIMIT).map(|polled| {
                polled
                    .map(|_| ())
                    .expect_err("refused")
                    .rdkafka_error_code()
            })
        })
        .await
        .expect("no panic");
        assert_eq!(error, Some(Some(refusal)), "{group}");
    }
    assert_eq!(broker.groups().len(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let (_broker, listener) = broker(BrokerConfig {
        max_idle: Duration::from_millis(400),
        ..BrokerConfig::default()
    })
    .await;
    let started = Instant::now();
    let (mut idle, mut stuck) = (
        Wire::connect(&listener).await,
        Wire::connect(&listener).await,
    );
    // Half a frame is no request.
    stuck.send(&[0, 0, 0, 50, 0, 3]).await.expect("sent");
    let closed = async { (idle.closed().await, stuck.closed().await) };
    let closed = tokio::time::timeout(LIMIT, closed).await.expect("in time");
    assert_eq!(closed, (true, true));
    assert!(started.elapsed() >= Duration::from_millis(400));
    Wire::connect(&listener)
        .await
        .metadata()
        .await
        .expect("others are served");
}

#[tokio::test]
async fn a_throttled_client_waits_whether_it_heeds_the_answer_or_not() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let pause = Duration::from_millis(300);
    let rule = FaultRule::new(ApiKey::Fetch, FaultAction::Throttle(pause)).times(1);
    let rule = broker.add_fault(rule).expect("rule");
    let mut wire = Wire::connect(&listener).await;
    wire.send(&crate::versions::sample(ApiKey::Fetch, 11))
        .await
        .expect("sent");
    wire.answer().await.expect("the answer comes at once");
    let throttled = Instant::now();
    Wire::connect(&listener)
        .await
        .metadata()
        .await
        .expect("other connections are not throttled");
    let spared = throttled.elapsed();
    wire.metadata().await.expect("answered after the pause");
    assert!(throttled.elapsed() >= pause - Duration::from_millis(20));
    assert!(spared < throttled.elapsed());
    assert_eq!(broker.remove_fault(rule), Some(1));
}
