//! `messages_produced`, witnessed by a consumer of the test's own that reads and parks like a service.

use std::{sync::Arc, time::Duration};

use firedrill::{
    fault::{Witness, inject},
    mechanism::kafka::Kafka,
    testbed::{KafkaAccess, Pipeline},
};
use rdkafka::{
    Message,
    consumer::{CommitMode, Consumer, StreamConsumer},
    message::OwnedMessage,
    producer::{FutureProducer, FutureRecord},
};

use super::{fault, felt_by, kind, pipeline::SmallPipeline, queue::broker};

const SOON: Duration = Duration::from_secs(10);
const PARTITIONS: usize = 4;

fn producer(access: &KafkaAccess) -> FutureProducer {
    rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &access.bootstrap)
        .create()
        .expect("a producer")
}

async fn put(producer: &FutureProducer, topic: &str, partition: i32, payload: &[u8]) {
    let record = FutureRecord::to(topic)
        .key("k")
        .partition(partition)
        .payload(payload);
    producer.send(record, SOON).await.expect("it is stored");
}

/// Everything that stands in a topic.
async fn contents(access: &KafkaAccess, topic: &str) -> Vec<OwnedMessage> {
    let kafka = Kafka::through(access.clone());
    let ends = kafka.ends(topic).await.expect("the ends");
    let total: i64 = ends.values().sum();
    let from = ends.keys().map(|partition| (*partition, 0)).collect();
    let tail = kafka.tail(topic, &from).await.expect("a tail");
    let mut found = Vec::new();
    for _ in 0..total {
        let message = tokio::time::timeout(SOON, tail.recv()).await.expect("soon");
        found.push(message.expect("a record").detach());
    }
    found
}

/// Reads so many messages as the group `readers`, commits them, and parks those that are no JSON objects.
async fn read_and_park(access: &KafkaAccess, count: usize) {
    let parking = producer(access);
    let consumer: StreamConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &access.bootstrap)
        .set("group.id", "d1.readers")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000")
        .create()
        .expect("a consumer");
    consumer.subscribe(&["d1.events"]).expect("a subscription");
    for _ in 0..count {
        let message = tokio::time::timeout(SOON, consumer.recv())
            .await
            .expect("soon")
            .expect("a record");
        let payload = message.payload().unwrap_or_default();
        if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(payload).is_err() {
            put(&parking, "d1.events.dead", message.partition(), payload).await;
        }
        consumer
            .commit_message(&message, CommitMode::Sync)
            .expect("a commit");
    }
    consumer.unsubscribe();
}

const POISON: &str = r#"kind = "messages_produced"
    topic = "events"
    group = "readers"
    dead_letters = "events.dead"
    text = "poison""#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_partition_holds_the_text_and_it_is_felt_when_its_reader_parks_it() {
    let access = broker(&["events", "events.dead", "others"]).await;
    let pipeline: Arc<dyn Pipeline> = SmallPipeline::default().with_kafka(access.clone()).share();
    // A letter that was dead before says nothing about this fault.
    put(&producer(&access), "d1.events.dead", 0, b"poison").await;
    let mut injection = inject(&fault(kind(POISON)), &pipeline, 1)
        .await
        .expect("injected");
    let found = contents(&access, "events").await;
    let bitten = found
        .iter()
        .filter(|message| message.payload() == Some(b"poison"));
    assert_eq!(bitten.count(), PARTITIONS, "it bites");
    assert!(contents(&access, "others").await.is_empty(), "it spares");
    let felt = injection.felt().await.expect("a witness");
    assert_eq!(felt.count, 0, "nobody has coped with it yet");

    read_and_park(&access, PARTITIONS).await;
    let felt = injection.wait_until_felt(PARTITIONS as u64, SOON).await;
    assert_eq!(felt.expect("a witness").count, PARTITIONS as u64);
    injection.heal().await.expect("healed");
    let left = contents(&access, "events").await;
    assert_eq!(left.len(), PARTITIONS, "nothing more comes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_keeps_what_is_not_changed_and_is_felt_when_it_was_read() {
    let access = broker(&["events"]).await;
    let pipeline: Arc<dyn Pipeline> = SmallPipeline::default().with_kafka(access.clone()).share();
    let model = br#"{"id":"a","version":1,"kept":"yes"}"#;
    put(&producer(&access), "d1.events", 2, model).await;
    let copies = kind(
        r#"kind = "messages_produced"
        topic = "events"
        group = "readers"
        change = { "/version" = 9 }
        fresh = ["/id"]"#,
    );
    let mut injection = inject(&felt_by(copies, Witness::ProducedRead), &pipeline, 1)
        .await
        .expect("injected");
    let found = contents(&access, "events").await;
    let read = |message: &OwnedMessage| -> serde_json::Value {
        serde_json::from_slice(message.payload().unwrap_or_default()).expect("JSON")
    };
    let copies: Vec<_> = found
        .iter()
        .map(read)
        .filter(|message| message["version"] == 9)
        .collect();
    assert_eq!(copies.len(), PARTITIONS);
    assert!(
        copies
            .iter()
            .all(|copy| copy["kept"] == "yes" && copy["id"] != "a")
    );
    assert!(found.iter().all(|message| message.key() == Some(b"k")));
    assert_eq!(injection.felt().await.expect("a witness").count, 0);

    read_and_park(&access, PARTITIONS + 1).await;
    let report = injection.heal().await.expect("healed");
    assert_eq!(report.felt.count, PARTITIONS as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_message_to_copy_or_a_place_to_look_nothing_is_produced() {
    let access = broker(&["events"]).await;
    let pipeline: Arc<dyn Pipeline> = SmallPipeline::default().with_kafka(access.clone()).share();
    let empty = kind("kind = \"messages_produced\"\ntopic = \"events\"\ngroup = \"readers\"");
    let refused = inject(&felt_by(empty, Witness::ProducedRead), &pipeline, 1).await;
    let error = refused.expect_err("nothing to copy").to_string();
    assert!(error.contains("before the fault is injected"), "{error}");
    let nowhere = kind(&POISON.replace("dead_letters = \"events.dead\"\n", ""));
    let refused = inject(&felt_by(nowhere, Witness::ProducedParked), &pipeline, 1).await;
    let error = refused.expect_err("nowhere to look").to_string();
    assert!(error.contains("dead_letters"), "{error}");
    assert!(contents(&access, "events").await.is_empty());
}
