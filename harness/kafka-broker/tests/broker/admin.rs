//! What an operator's client asks for.

use crate::clients::{LIMIT, broker, client, consumer, next, stable};
use crate::wire::Wire;
use kafka_broker::{BrokerConfig, BrokerError, Listener};
use kafka_protocol::messages::{ApiKey, DescribeClusterRequest, DescribeClusterResponse};
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

fn admin(listener: &Listener) -> AdminClient<DefaultClientContext> {
    client(listener).create().expect("admin client")
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(LIMIT))
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_grown_described_and_deleted() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    let admin = admin(&listener);
    let small =
        NewTopic::new("small", 2, TopicReplication::Fixed(1)).set("max.message.bytes", "5000");
    let wide = NewTopic::new("wide", 3, TopicReplication::Fixed(3));
    let created = admin
        .create_topics([&small, &wide], &options())
        .await
        .expect("answer");
    assert_eq!(created[0], Ok("small".to_owned()));
    assert_eq!(
        created[1],
        Err((
            "wide".to_owned(),
            RDKafkaErrorCode::InvalidReplicationFactor
        ))
    );
    let again = admin
        .create_topics([&small], &options())
        .await
        .expect("answer");
    assert_eq!(
        again[0],
        Err(("small".to_owned(), RDKafkaErrorCode::TopicAlreadyExists))
    );

    let grown = admin
        .create_partitions([&NewPartitions::new("small", 5)], &options())
        .await
        .expect("answer");
    assert_eq!(grown[0], Ok("small".to_owned()));
    assert_eq!(broker.offsets("small").expect("topic").len(), 5);
    let shrunk = admin
        .create_partitions([&NewPartitions::new("small", 2)], &options())
        .await
        .expect("answer");
    assert_eq!(
        shrunk[0],
        Err(("small".to_owned(), RDKafkaErrorCode::InvalidPartitions))
    );

    let described = admin
        .describe_configs([&ResourceSpecifier::Topic("small")], &options())
        .await
        .expect("answer");
    let settings = described[0].as_ref().expect("described");
    let limit = settings.get("max.message.bytes").expect("setting");
    assert_eq!(
        (limit.value.as_deref(), limit.is_default),
        (Some("5000"), false)
    );

    let deleted = admin
        .delete_topics(&["small", "nothing"], &options())
        .await
        .expect("answer");
    assert_eq!(deleted[0], Ok("small".to_owned()));
    assert_eq!(
        deleted[1],
        Err((
            "nothing".to_owned(),
            RDKafkaErrorCode::UnknownTopicOrPartition
        ))
    );
    assert!(broker.topics().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_described_and_deleted() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    broker
        .append("orders", 0, None, Some(b"value"), &[])
        .expect("append");
    let member = consumer(&listener, "workers", "orders", &[("client.id", "worker")]);
    next(&member).await;
    stable(&broker, "workers", 1).await;
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset("orders", 0, Offset::Offset(1))
        .expect("offset");
    member.commit(&offsets, CommitMode::Sync).expect("commit");

    let operator: BaseConsumer = client(&listener).create().expect("client");
    let described = tokio::task::spawn_blocking(move || {
        let groups = operator.fetch_group_list(None, LIMIT).expect("answer");
        let group = &groups.groups()[0];
        let member = group.members()[0].client_id().to_owned();
        [group.name(), group.state(), group.protocol_type(), &member].map(str::to_owned)
    });
    let described = described.await.expect("no panic");
    assert_eq!(described, ["workers", "Stable", "consumer", "worker"]);

    let admin = admin(&listener);
    let refused = admin
        .delete_groups(&["workers"], &options())
        .await
        .expect("answer");
    assert_eq!(
        refused[0],
        Err(("workers".to_owned(), RDKafkaErrorCode::NonEmptyGroup))
    );
    tokio::task::spawn_blocking(move || drop(member))
        .await
        .expect("left");
    let deleted = admin
        .delete_groups(&["workers", "nobody"], &options())
        .await
        .expect("answer");
    assert_eq!(deleted[0], Ok("workers".to_owned()));
    assert_eq!(
        deleted[1],
        Err(("nobody".to_owned(), RDKafkaErrorCode::GroupIdNotFound))
    );
    assert_eq!(broker.group("workers"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_found_by_time_and_at_both_ends() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let producer: rdkafka::producer::FutureProducer = client(&listener).create().expect("producer");
    for timestamp in [1000, 2000, 3000] {
        let record = rdkafka::producer::FutureRecord::to("orders")
            .key("key")
            .payload("value")
            .timestamp(timestamp);
        producer.send(record, LIMIT).await.expect("sent");
    }
    let asking: BaseConsumer = client(&listener)
        .set("group.id", "any")
        .create()
        .expect("client");
    let (ends, by_time) = tokio::task::spawn_blocking(move || {
        let ends = asking.fetch_watermarks("orders", 0, LIMIT).expect("answer");
        let mut times = TopicPartitionList::new();
        times
            .add_partition_offset("orders", 0, Offset::Offset(1500))
            .expect("time");
        (
            ends,
            asking.offsets_for_times(times, LIMIT).expect("answer"),
        )
    })
    .await
    .expect("no panic");
    assert_eq!(ends, (0, 3));
    assert_eq!(by_time.elements()[0].offset(), Offset::Offset(1));
}

#[tokio::test]
async fn the_owner_creates_and_deletes_topics_too() {
    let (broker, listener) = broker(BrokerConfig {
        max_partitions: 10,
        ..BrokerConfig::default()
    })
    .await;
    broker.create_topic("orders", 10).expect("topic");
    for (name, partitions) in [
        ("orders", 1),
        ("", 1),
        ("..", 1),
        ("a/b", 1),
        ("none", 0),
        ("many", 11),
    ] {
        let refused = broker.create_topic(name, partitions);
        assert!(
            matches!(refused, Err(BrokerError::CreateTopic { .. })),
            "{name:?} {partitions}"
        );
    }
    broker.delete_topic("orders").expect("deleted");
    assert!(matches!(
        broker.delete_topic("orders"),
        Err(BrokerError::UnknownTopic(_))
    ));
    let mut wire = Wire::connect(&listener).await;
    let request = DescribeClusterRequest::default();
    let cluster: DescribeClusterResponse = wire
        .call(ApiKey::DescribeCluster, 0, &request)
        .await
        .expect("answer");
    assert_eq!(cluster.brokers[0].port, i32::from(listener.port()));
}
