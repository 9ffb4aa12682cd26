//! Consumer groups beyond the ordinary: static members, and the newer protocol.

use crate::clients::{LIMIT, broker, client, consumer, next, producer, send_numbered, stable};
use kafka_broker::BrokerConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

#[tokio::test(flavor = "multi_thread")]
async fn a_static_member_takes_its_old_place_without_a_rebalance_and_the_older_is_fenced() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 2).expect("topic");
    let one = [("group.instance.id", "one")];
    let older = consumer(&listener, "workers", "orders", &one);
    stable(&broker, "workers", 1).await;
    let before = broker.group("workers").expect("group");

    let newer = consumer(&listener, "workers", "orders", &one);
    send_numbered(&producer(&listener, false, &[]), "orders", 0, 1).await;
    next(&newer).await;
    let after = broker.group("workers").expect("group");
    assert_eq!(after.generation, before.generation);
    assert_eq!(after.members.len(), 1);
    assert_eq!(after.members[0].assigned, before.members[0].assigned);
    assert_ne!(after.members[0].member_id, before.members[0].member_id);

    let fenced = async {
        loop {
            if let Err(error) = older.recv().await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(LIMIT, fenced).await.expect("in time");
    let fatal = older.client().fatal_error().map(|(code, _)| code);
    // A consumer with a fatal error may never close, and the Rust wrapper waits for it.
    std::mem::forget(older);
    assert_eq!(fatal, Some(RDKafkaErrorCode::FencedInstanceId), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_consumer_protocol_is_refused_in_words() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let member: StreamConsumer = client(&listener)
        .set("group.id", "workers")
        .set("group.protocol", "consumer")
        .create()
        .expect("consumer");
    member.subscribe(&["orders"]).expect("subscribe");
    let refused = tokio::time::timeout(LIMIT, member.recv()).await;
    let error = refused
        .expect("an answer in time")
        .map(|_| ())
        .expect_err("refused");
    let code = match &error {
        KafkaError::MessageConsumptionFatal(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    assert_eq!(code, Some(RDKafkaErrorCode::UnsupportedVersion), "{error}");
    let (_, reason) = member.client().fatal_error().expect("fatal");
    std::mem::forget(member);
    // librdkafka says so in its own words.
    assert!(reason.contains("not supported"), "{reason}");
}
