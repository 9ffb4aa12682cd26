//! Ordinary clients of the broker, as services would make them.

use kafka_broker::{Broker, BrokerConfig, GroupState, Listener};
use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::collections::HashMap;
use std::time::Duration;

/// Longest wait of any test for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A broker with one listener named `service`.
pub(crate) async fn broker(config: BrokerConfig) -> (Broker, Listener) {
    let broker = Broker::new(config);
    let listener = broker.listen("service", None).await.expect("listen");
    (broker, listener)
}

/// Client settings that react quickly.
pub(crate) fn client(listener: &Listener) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", listener.address().to_string())
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .set("retry.backoff.ms", "20")
        .set("allow.auto.create.topics", "false");
    config
}

/// A consumer that commits only when told to.
pub(crate) fn consumer(
    listener: &Listener,
    group: &str,
    topic: &str,
    settings: &[(&str, &str)],
) -> StreamConsumer {
    let mut config = client(listener);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "100");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let consumer: StreamConsumer = config.create().expect("consumer");
    consumer.subscribe(&[topic]).expect("subscribe");
    consumer
}

/// A producer that waits for acknowledgements, with or without idempotence.
pub(crate) fn producer(
    listener: &Listener,
    idempotent: bool,
    settings: &[(&str, &str)],
) -> FutureProducer {
    let mut config = client(listener);
    config
        .set(
            "enable.idempotence",
            if idempotent { "true" } else { "false" },
        )
        .set("acks", "all")
        .set("linger.ms", "1");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().expect("producer")
}

/// Sends `count` numbered payloads to one partition and waits until all are acknowledged.
pub(crate) async fn send_numbered(
    producer: &FutureProducer,
    topic: &str,
    partition: i32,
    count: usize,
) {
    let payloads: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let sends = payloads.iter().map(|payload| {
        let record: FutureRecord<'_, (), String> = FutureRecord::to(topic)
            .partition(partition)
            .payload(payload);
        producer.send_result(record).expect("queue")
    });
    for sent in sends.collect::<Vec<_>>() {
        sent.await.expect("delivery").expect("acknowledged");
    }
}

/// The next payload; that the broker is away for a while is no failure.
pub(crate) async fn next(consumer: &StreamConsumer) -> (i32, i64, String) {
    let received = async {
        loop {
            match consumer.recv().await {
                Ok(message) => return message,
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
                )) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let message = tokio::time::timeout(LIMIT, received)
        .await
        .expect("a message in time");
    let payload = message
        .payload_view::<str>()
        .expect("payload")
        .expect("text")
        .to_owned();
    (message.partition(), message.offset(), payload)
}

/// Waits until the group is stable with so many members, every one with its assignment.
pub(crate) async fn stable(broker: &Broker, group: &str, members: usize) {
    let settled = broker
        .wait_for(LIMIT, |broker| {
            broker.group(group).is_some_and(|group| {
                group.state == GroupState::Stable && group.members.len() == members
            })
        })
        .await;
    assert!(
        settled,
        "{group} never had {members} members: {:?}",
        broker.group(group)
    );
}

/// All payloads of a topic, each with how often it is there.
pub(crate) fn stored(broker: &Broker, topic: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for partition in broker.offsets(topic).expect("topic") {
        for record in broker
            .records(topic, partition.partition, 0)
            .expect("records")
        {
            let value = record.value.expect("payload");
            let value = String::from_utf8(value.to_vec()).expect("text");
            *counts.entry(value).or_default() += 1;
        }
    }
    counts
}

/// How many records of a topic are there more than once.
pub(crate) fn duplicates(broker: &Broker, topic: &str) -> usize {
    stored(broker, topic).values().map(|count| count - 1).sum()
}
