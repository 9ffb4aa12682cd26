//! Producing: idempotence under lost answers, size limits, what the owner reads and appends.

use crate::clients::{
    LIMIT, broker, client, consumer, duplicates, next, producer, send_numbered, stored,
};
use crate::wire::{Wire, frame};
use bytes::Bytes;
use kafka_broker::{
    ApiKey, Broker, BrokerConfig, BrokerError, FaultAction, FaultRule, Listener, RecordHeader,
};
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::protocol::StrBytes;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

/// Produces 200 records while the answers to three requests are lost; the records are in the log by then.
async fn produce_with_lost_answers(broker: &Broker, listener: &Listener, idempotent: bool) {
    broker.create_topic("orders", 1).expect("topic");
    let lost = FaultRule::new(ApiKey::Produce, FaultAction::LoseAnswer).times(3);
    let rule = broker.add_fault(lost).expect("rule");
    let producer = producer(listener, idempotent, &[("batch.num.messages", "10")]);
    send_numbered(&producer, "orders", 0, 200).await;
    assert_eq!(broker.remove_fault(rule), Some(3), "answers lost");
    assert_eq!(stored(broker, "orders").len(), 200, "no record is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotent_producer_leaves_no_duplicates_when_answers_are_lost() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    produce_with_lost_answers(&broker, &listener, true).await;
    assert_eq!(duplicates(&broker, "orders"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_without_idempotence_leaves_duplicates_when_answers_are_lost() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    produce_with_lost_answers(&broker, &listener, false).await;
    assert!(
        duplicates(&broker, "orders") >= 3,
        "each lost answer repeats a batch"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_larger_than_the_topic_allows_is_refused() {
    let config = BrokerConfig {
        max_message_bytes: 2_000,
        ..BrokerConfig::default()
    };
    let (broker, listener) = broker(config).await;
    broker.create_topic("small", 1).expect("topic");
    let producer = producer(&listener, false, &[]);
    send_sized(&producer, 1_500).await.expect("fits");
    let refused = send_sized(&producer, 2_500).await;
    assert_eq!(
        refused,
        Err(KafkaError::MessageProduction(
            RDKafkaErrorCode::MessageSizeTooLarge
        ))
    );
    assert_eq!(broker.offsets("small").expect("topic")[0].end, 1);
}

async fn send_sized(producer: &FutureProducer, bytes: usize) -> Result<(), KafkaError> {
    let payload = "x".repeat(bytes);
    let record: FutureRecord<'_, (), str> = FutureRecord::to("small").payload(&payload);
    producer
        .send(record, LIMIT)
        .await
        .map(|_| ())
        .map_err(|(error, _)| error)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_reads_what_a_producer_wrote() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 2).expect("topic");
    let headers = OwnedHeaders::new().insert(Header {
        key: "traceparent",
        value: Some("00-1"),
    });
    let record = FutureRecord::to("orders")
        .partition(1)
        .key("key")
        .payload("value")
        .headers(headers);
    producer(&listener, false, &[])
        .send(record.timestamp(1234), LIMIT)
        .await
        .expect("sent");
    let records = broker.records("orders", 1, 0).expect("records");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].timestamp_ms, 1234);
    assert_eq!(records[0].key.as_deref(), Some(&b"key"[..]));
    assert_eq!(records[0].value.as_deref(), Some(&b"value"[..]));
    assert_eq!(records[0].headers.len(), 1);
    assert_eq!(records[0].headers[0].key, "traceparent");
    assert!(broker.records("orders", 0, 0).expect("records").is_empty());
    assert!(matches!(
        broker.records("orders", 2, 0),
        Err(BrokerError::UnknownPartition { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_receive_what_the_owner_appends() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let header = RecordHeader {
        key: "dead-reason".into(),
        value: None,
    };
    let offset = broker
        .append("orders", 0, Some(b"key"), Some(b"{broken"), &[header])
        .expect("appended");
    assert_eq!(offset, 0);
    let consumer = consumer(&listener, "readers", "orders", &[]);
    assert_eq!(next(&consumer).await, (0, 0, "{broken".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_batches_are_stored_and_delivered_and_the_owner_is_told() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let producer: FutureProducer = client(&listener)
        .set("compression.type", "lz4")
        .create()
        .expect("producer");
    let payload = "x".repeat(2_000);
    let record: FutureRecord<'_, (), str> = FutureRecord::to("orders").payload(&payload);
    producer.send(record, LIMIT).await.expect("sent");
    let consumer = consumer(&listener, "readers", "orders", &[]);
    assert_eq!(next(&consumer).await.2, payload);
    assert!(matches!(
        broker.records("orders", 0, 0),
        Err(BrokerError::Compressed { offset: 0, .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_wants_no_answers_is_cut_off_when_a_record_is_refused() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let batch = |partition| {
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(Bytes::from_static(b"no batch")));
        let topic = TopicProduceData::default()
            .with_name(StrBytes::from_static_str("orders").into())
            .with_partition_data(vec![data]);
        ProduceRequest::default()
            .with_acks(0)
            .with_topic_data(vec![topic])
    };
    let mut wire = Wire::connect(&listener).await;
    wire.send(&frame(ApiKey::Produce, 9, 1, &batch(0)))
        .await
        .expect("sent");
    assert!(wire.closed().await);
}
