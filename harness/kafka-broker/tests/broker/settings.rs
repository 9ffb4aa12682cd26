//! Settings of topics, changed by an operator's client and by the owner, and what they do to the records.

use crate::clients::{LIMIT, broker, client, producer};
use crate::wire::Wire;
use kafka_broker::{ApiKey, Broker, BrokerConfig, BrokerError, Listener};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::FutureRecord;
use std::collections::HashMap;
use std::time::Duration;

fn admin(listener: &Listener) -> AdminClient<DefaultClientContext> {
    client(listener).create().expect("admin client")
}

/// The settings of a resource by name: value, and whether it is the default.
async fn described(
    listener: &Listener,
    resource: ResourceSpecifier<'_>,
) -> HashMap<String, (String, bool)> {
    let answer = admin(listener)
        .describe_configs([&resource], &AdminOptions::new())
        .await
        .expect("answer");
    let settings = &answer[0].as_ref().expect("described").entries;
    let of = |entry: &rdkafka::admin::ConfigEntry| {
        let value = entry.value.clone().expect("value");
        (entry.name.clone(), (value, entry.is_default))
    };
    settings.iter().map(of).collect()
}

fn value(text: &str, is_default: bool) -> (String, bool) {
    (text.to_owned(), is_default)
}

#[tokio::test(flavor = "multi_thread")]
async fn altering_replaces_all_values_of_a_topic() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let alter = async |name: &str, value: &str| {
        let resource = ResourceSpecifier::Topic("orders");
        let change = AlterConfig::new(resource).set(name, value);
        let admin = admin(&listener);
        let answer = admin.alter_configs([&change], &AdminOptions::new());
        let altered = &answer.await.expect("answer")[0];
        altered.as_ref().map(|_| ()).map_err(|(_, code)| *code)
    };
    alter("max.message.bytes", "2000").await.expect("altered");
    alter("retention.ms", "60000").await.expect("altered");
    let settings = described(&listener, ResourceSpecifier::Topic("orders")).await;
    assert_eq!(settings["max.message.bytes"], value("1048588", true));
    assert_eq!(settings["retention.ms"], value("60000", false));
    // The Rust wrapper drops the error of this answer; the setting shows that it was refused.
    for (name, wrong) in [("retention.ms", "soon"), ("no.such.setting", "1")] {
        let _ = alter(name, wrong).await;
        let settings = described(&listener, ResourceSpecifier::Topic("orders")).await;
        assert_eq!(settings["retention.ms"], value("60000", false), "{name}");
    }
}

#[tokio::test]
async fn single_values_are_set_deleted_appended_and_subtracted() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let mut wire = Wire::connect(&listener).await;
    let mut alter = async |kind, name, operation, value| {
        let text = StrBytes::from_static_str;
        let change = AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(operation)
            .with_value(value);
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(if kind == 2 { "orders" } else { "1" }))
            .with_configs(vec![change]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer: IncrementalAlterConfigsResponse = wire
            .call(ApiKey::IncrementalAlterConfigs, 1, &request)
            .await
            .expect("answer");
        answer.responses[0].error_code
    };
    let some = |text| Some(StrBytes::from_static_str(text));
    assert_eq!(alter(2, "max.message.bytes", 0, some("100")).await, 0);
    assert_eq!(alter(2, "retention.bytes", 0, some("5000")).await, 0);
    assert_eq!(alter(2, "cleanup.policy", 2, some("compact")).await, 0);
    assert_eq!(alter(2, "cleanup.policy", 3, some("delete")).await, 0);
    assert_eq!(alter(2, "retention.bytes", 1, None).await, 0);
    // INVALID_CONFIG: no list, an unknown name. INVALID_REQUEST: no value, an unknown operation, the broker itself.
    assert_eq!(alter(2, "retention.ms", 2, some("1")).await, 40);
    assert_eq!(alter(2, "retention", 0, some("1")).await, 40);
    assert_eq!(alter(2, "retention.ms", 0, None).await, 42);
    assert_eq!(alter(2, "retention.ms", 9, some("1")).await, 42);
    assert_eq!(alter(4, "message.max.bytes", 0, some("1")).await, 42);
    let settings = described(&listener, ResourceSpecifier::Topic("orders")).await;
    assert_eq!(settings["max.message.bytes"], value("100", false));
    assert_eq!(settings["cleanup.policy"], value("compact", false));
    assert_eq!(settings["retention.bytes"], value("-1", true));
    let brokers = described(&listener, ResourceSpecifier::Broker(1)).await;
    assert_eq!(brokers["message.max.bytes"].0, "1048588");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_limit_of_a_topic_holds_from_the_next_record_on() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let producer = producer(&listener, false, &[]);
    let send = async || {
        let record: FutureRecord<'_, (), [u8]> = FutureRecord::to("orders").payload(&[7; 500]);
        producer.send(record, LIMIT).await.map(|_| ())
    };
    send().await.expect("small enough");
    let set = |value| broker.set_topic_setting("orders", "max.message.bytes", value);
    set(Some("400")).expect("set");
    let (refused, _) = send().await.expect_err("too large");
    assert_eq!(
        refused.rdkafka_error_code(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge)
    );
    set(None).expect("unset");
    send().await.expect("small enough again");
    assert!(matches!(set(Some("big")), Err(BrokerError::Setting { .. })));
}

/// First and last offset of the only partition.
fn ends(broker: &Broker) -> (i64, i64) {
    let offsets = broker.offsets("orders").expect("topic")[0];
    (offsets.start, offsets.end)
}

#[tokio::test]
async fn records_leave_when_their_time_is_over_and_not_before() {
    let (broker, _listener) = broker(BrokerConfig {
        retention: Some(Duration::from_millis(300)),
        ..BrokerConfig::default()
    })
    .await;
    broker.create_topic("orders", 1).expect("topic");
    let append = |value: &[u8]| broker.append("orders", 0, None, Some(value), &[]);
    let started = std::time::Instant::now();
    append(b"old").expect("append");
    assert_eq!(ends(&broker), (0, 1));
    assert!(
        broker
            .wait_for(LIMIT, |broker| ends(broker) == (1, 1))
            .await
    );
    assert!(started.elapsed() >= Duration::from_millis(299));
    broker
        .set_topic_setting("orders", "retention.ms", Some("3600000"))
        .expect("set");
    append(b"kept").expect("append");
    assert_eq!(ends(&broker), (1, 2));
    broker
        .set_topic_setting("orders", "retention.ms", Some("0"))
        .expect("set");
    assert_eq!(ends(&broker), (2, 2), "a shorter time takes effect at once");
}

#[tokio::test]
async fn fewer_bytes_to_keep_take_effect_at_once() {
    let (broker, _listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    for _ in 0..10 {
        broker
            .append("orders", 0, None, Some(&[7; 100]), &[])
            .expect("append");
    }
    broker
        .set_topic_setting("orders", "retention.bytes", Some("500"))
        .expect("set");
    assert_eq!(ends(&broker), (8, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_from_too_far_in_the_future_are_refused() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let producer = producer(&listener, false, &[]);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("clock")
        .as_millis() as i64;
    for (ahead_ms, accepted) in [(0, true), (3_500_000, true), (3_700_000, false)] {
        let record: FutureRecord<'_, (), str> = FutureRecord::to("orders")
            .payload("value")
            .timestamp(now + ahead_ms);
        let sent = producer.send(record, LIMIT).await;
        let code = sent
            .as_ref()
            .err()
            .and_then(|(error, _)| error.rdkafka_error_code());
        let expected = (!accepted).then_some(RDKafkaErrorCode::InvalidTimestamp);
        assert_eq!(code, expected, "{ahead_ms} ms ahead");
    }
}

#[tokio::test]
async fn records_are_deleted_up_to_an_offset() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    for number in 0..5_u8 {
        broker
            .append("orders", 0, None, Some(&[number]), &[])
            .expect("append");
    }
    let mut wire = Wire::connect(&listener).await;
    let mut delete = async |partition, offset| {
        let partition = DeleteRecordsPartition::default()
            .with_partition_index(partition)
            .with_offset(offset);
        let topic = DeleteRecordsTopic::default()
            .with_name(StrBytes::from_static_str("orders").into())
            .with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
        let answer: DeleteRecordsResponse = wire
            .call(ApiKey::DeleteRecords, 2, &request)
            .await
            .expect("answer");
        let partition = &answer.topics[0].partitions[0];
        (partition.error_code, partition.low_watermark)
    };
    assert_eq!(delete(0, 3).await, (0, 3));
    assert_eq!(delete(0, 2).await, (0, 3), "already deleted");
    assert_eq!(delete(0, 6).await, (1, -1), "OFFSET_OUT_OF_RANGE");
    assert_eq!(delete(7, 0).await, (3, -1), "UNKNOWN_TOPIC_OR_PARTITION");
    let values: Vec<_> = broker
        .records("orders", 0, 0)
        .expect("records")
        .into_iter()
        .map(|record| record.offset)
        .collect();
    assert_eq!(values, [3, 4]);
    broker
        .set_topic_setting("orders", "cleanup.policy", Some("compact"))
        .expect("set");
    assert_eq!(delete(0, 4).await, (44, -1), "POLICY_VIOLATION");
    broker
        .set_topic_setting("orders", "cleanup.policy", None)
        .expect("set");
    assert_eq!(delete(0, -1).await, (0, 5), "all of them");
    assert_eq!(ends(&broker), (5, 5));
    assert!(matches!(
        broker.delete_records("orders", 0, 6),
        Err(BrokerError::DeleteRecords { .. })
    ));
}
