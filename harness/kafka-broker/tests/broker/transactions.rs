//! Transactional producers: what read-committed consumers see, fencing, offsets, time-out.

use crate::clients::{LIMIT, broker, client, consumer, next};
use kafka_broker::{BrokerConfig, Listener};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

async fn transactional(listener: &Listener, id: &str, settings: &[(&str, &str)]) -> FutureProducer {
    let mut config = client(listener);
    config.set("transactional.id", id).set("linger.ms", "1");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let producer: FutureProducer = config.create().expect("producer");
    let starting = producer.clone();
    blocking(move || starting.init_transactions(LIMIT))
        .await
        .expect("init");
    producer
}

async fn send(producer: &FutureProducer, payload: &str) {
    let record: FutureRecord<'_, (), str> =
        FutureRecord::to("orders").partition(0).payload(payload);
    producer.send(record, LIMIT).await.expect("sent");
}

async fn commit(producer: &FutureProducer) -> Result<(), rdkafka::error::KafkaError> {
    let producer = producer.clone();
    blocking(move || producer.commit_transaction(LIMIT)).await
}

async fn abort(producer: &FutureProducer) {
    let producer = producer.clone();
    blocking(move || producer.abort_transaction(LIMIT))
        .await
        .expect("aborted");
}

fn reader(listener: &Listener, group: &str, isolation: &str) -> StreamConsumer {
    consumer(listener, group, "orders", &[("isolation.level", isolation)])
}

#[tokio::test(flavor = "multi_thread")]
async fn read_committed_consumers_see_neither_aborted_nor_open_transactions() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let producer = transactional(&listener, "writer", &[]).await;
    for (payload, commits) in [
        ("aborted-1", false),
        ("committed-1", true),
        ("aborted-2", false),
        ("committed-2", true),
    ] {
        producer.begin_transaction().expect("begin");
        send(&producer, payload).await;
        if commits {
            commit(&producer).await.expect("committed");
        } else {
            abort(&producer).await;
        }
    }
    producer.begin_transaction().expect("begin");
    send(&producer, "open").await;

    let committed = reader(&listener, "careful", "read_committed");
    assert_eq!(next(&committed).await.2, "committed-1");
    assert_eq!(next(&committed).await.2, "committed-2");
    let uncommitted = reader(&listener, "hasty", "read_uncommitted");
    for expected in [
        "aborted-1",
        "committed-1",
        "aborted-2",
        "committed-2",
        "open",
    ] {
        assert_eq!(next(&uncommitted).await.2, expected);
    }
    let values = |broker: &kafka_broker::Broker| {
        let records = broker.records("orders", 0, 0).expect("records");
        let text = |record: kafka_broker::Record| {
            String::from_utf8(record.value.expect("value").to_vec()).expect("text")
        };
        records.into_iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(values(&broker), ["committed-1", "committed-2"]);
    let offsets = broker.offsets("orders").expect("topic")[0];
    assert_eq!((offsets.last_stable, offsets.end), (8, 9));

    commit(&producer).await.expect("committed");
    assert_eq!(next(&committed).await.2, "open");
    assert_eq!(values(&broker), ["committed-1", "committed-2", "open"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_producer_of_the_same_id_fences_the_first_and_aborts_its_work() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let zombie = transactional(&listener, "writer", &[]).await;
    zombie.begin_transaction().expect("begin");
    send(&zombie, "of the zombie").await;
    let heir = transactional(&listener, "writer", &[]).await;
    let fenced = commit(&zombie).await.expect_err("fenced");
    assert_eq!(fenced.rdkafka_error_code(), Some(RDKafkaErrorCode::Fenced));
    heir.begin_transaction().expect("begin");
    send(&heir, "of the heir").await;
    commit(&heir).await.expect("committed");
    let committed = reader(&listener, "careful", "read_committed");
    assert_eq!(next(&committed).await.2, "of the heir");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_committed_with_the_transaction_and_not_with_an_aborted_one() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    for _ in 0..4 {
        broker
            .append("orders", 0, None, Some(b"input"), &[])
            .expect("append");
    }
    let input = consumer(&listener, "workers", "orders", &[]);
    next(&input).await;
    let producer = transactional(&listener, "writer", &[]).await;
    for (offset, commits, expected) in [(2, false, None), (3, true, Some(3))] {
        producer.begin_transaction().expect("begin");
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset("orders", 0, Offset::Offset(offset))
            .expect("offset");
        let (sender, metadata) = (producer.clone(), input.group_metadata().expect("member"));
        blocking(move || sender.send_offsets_to_transaction(&offsets, &metadata, LIMIT))
            .await
            .expect("offsets");
        assert_eq!(
            broker.group_progress()[0].committed,
            None,
            "not before the end"
        );
        if commits {
            commit(&producer).await.expect("committed");
        } else {
            abort(&producer).await;
        }
        assert_eq!(broker.group_progress()[0].committed, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let slow = transactional(&listener, "writer", &[("transaction.timeout.ms", "1000")]).await;
    slow.begin_transaction().expect("begin");
    send(&slow, "too slow").await;
    let aborted = broker
        .wait_for(LIMIT, |broker| {
            let offsets = broker.offsets("orders").expect("topic")[0];
            offsets.last_stable == offsets.end
        })
        .await;
    assert!(aborted, "the transaction is over");
    assert!(broker.records("orders", 0, 0).expect("records").is_empty());
    assert!(commit(&slow).await.is_err());
}
