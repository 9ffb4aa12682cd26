//! Faults of the queue, witnessed by a Kafka client of the test's own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use firedrill::{
    fault::inject,
    mechanism::kafka::Kafka,
    testbed::{KafkaAccess, Pipeline},
    topology::Protocol,
};
use kafka_broker::{Broker, BrokerConfig};
use rdkafka::{
    Message,
    consumer::{Consumer, StreamConsumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};

use super::{fault, kind, pipeline::SmallPipeline, proxies::Proxies};

const SOON: Duration = Duration::from_secs(10);

pub(super) async fn broker(topics: &[&str]) -> KafkaAccess {
    let broker = Broker::new(BrokerConfig::default());
    for topic in topics {
        broker
            .create_topic(&format!("d1.{topic}"), 4)
            .expect("a topic");
    }
    let listener = broker.listen("harness", None).await.expect("a listener");
    KafkaAccess {
        bootstrap: listener.address().to_string(),
        topic_prefix: "d1.".to_owned(),
        embedded: Some(Arc::new(broker)),
    }
}

fn client(access: &KafkaAccess) -> rdkafka::ClientConfig {
    let mut configuration = rdkafka::ClientConfig::new();
    configuration.set("bootstrap.servers", &access.bootstrap);
    configuration
}

async fn produce(producer: &FutureProducer, topic: &str, key: &str, payload: &str) {
    let headers = OwnedHeaders::new().insert(Header {
        key: "traceparent",
        value: Some(key),
    });
    let record = FutureRecord::to(topic)
        .key(key)
        .payload(payload)
        .headers(headers);
    producer.send(record, SOON).await.expect("it is stored");
}

/// How often each payload is in a topic, with its key and header.
async fn contents(access: &KafkaAccess, topic: &str) -> BTreeMap<(String, String, String), usize> {
    let kafka = Kafka::through(access.clone());
    let ends = kafka.ends(topic).await.expect("the ends");
    let total: i64 = ends.values().sum();
    let from = ends.keys().map(|partition| (*partition, 0)).collect();
    let tail = kafka.tail(topic, &from).await.expect("a tail");
    let mut found = BTreeMap::new();
    for _ in 0..total {
        let message = tokio::time::timeout(SOON, tail.recv())
            .await
            .expect("soon")
            .expect("a record");
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let header = message
            .headers()
            .and_then(|headers| headers.try_get(0)?.value.map(<[u8]>::to_vec));
        let record = (
            text(message.key()),
            text(message.payload()),
            text(header.as_deref()),
        );
        *found.entry(record).or_default() += 1;
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_there_twice_with_key_and_headers_and_only_while_it_lasts() {
    let access = broker(&["events", "others"]).await;
    let pipeline: Arc<dyn Pipeline> = SmallPipeline::default().with_kafka(access.clone()).share();
    let producer: FutureProducer = client(&access).create().expect("a producer");
    produce(&producer, "d1.events", "k0", "before").await;
    let twice = fault(kind(
        r#"kind = "messages_duplicated"
        topics = ["events"]"#,
    ));
    let mut injection = inject(&twice, &pipeline, 1).await.expect("injected");
    for number in 0..40 {
        produce(
            &producer,
            "d1.events",
            &format!("k{number}"),
            &format!("message {number}"),
        )
        .await;
        produce(&producer, "d1.others", "k", &format!("other {number}")).await;
    }
    let felt = injection
        .wait_until_felt(20, SOON)
        .await
        .expect("a witness");
    assert!(felt.count >= 20, "{felt:?}");
    let report = injection.heal().await.expect("healed");
    assert_eq!(report.felt.count, 40, "every copy was read back");
    produce(&producer, "d1.events", "k0", "after").await;

    let found = contents(&access, "events").await;
    assert_eq!(found.len(), 42);
    for ((key, payload, header), count) in &found {
        let expected = if payload.starts_with("message") { 2 } else { 1 };
        assert_eq!(*count, expected, "{payload}");
        assert_eq!(key, header, "{payload}");
    }
    let others = contents(&access, "others").await;
    assert!(
        others.values().all(|count| *count == 1),
        "other topics are spared"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_keep_to_their_partition_and_order() {
    let access = broker(&["events"]).await;
    let pipeline: Arc<dyn Pipeline> = SmallPipeline::default().with_kafka(access.clone()).share();
    let producer: FutureProducer = client(&access).create().expect("a producer");
    let twice = fault(kind(
        "kind = \"messages_duplicated\"\ntopics = [\"events\"]",
    ));
    let mut injection = inject(&twice, &pipeline, 1).await.expect("injected");
    for number in 0..30 {
        produce(&producer, "d1.events", "one", &format!("{number:02}")).await;
    }
    injection.heal().await.expect("healed");
    let kafka = Kafka::through(access.clone());
    let ends = kafka.ends("events").await.expect("the ends");
    let used: Vec<i64> = ends.values().copied().filter(|end| *end > 0).collect();
    assert_eq!(used, [60], "all in one partition");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_not_there_is_told_with_the_nearest_name() {
    let access = broker(&["order-events"]).await;
    let pipeline: Arc<dyn Pipeline> = SmallPipeline::default().with_kafka(access).share();
    let twice = fault(kind(
        "kind = \"messages_duplicated\"\ntopics = [\"order-event\"]",
    ));
    let error = inject(&twice, &pipeline, 1)
        .await
        .expect_err("no such topic");
    assert!(error.to_string().contains("\"order-events\""), "{error}");
}

/// Reads and commits what a group has left to read.
async fn read_on(access: &KafkaAccess, group: &str, expected: usize) -> usize {
    let consumer: StreamConsumer = client(access)
        .set("group.id", format!("d1.{group}"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000")
        .create()
        .expect("a consumer");
    consumer.subscribe(&["d1.events"]).expect("a subscription");
    let mut read = 0;
    while read < expected {
        let message = tokio::time::timeout(SOON, consumer.recv())
            .await
            .expect("soon")
            .expect("a record");
        consumer
            .commit_message(&message, rdkafka::consumer::CommitMode::Sync)
            .expect("a commit");
        read += 1;
    }
    consumer.unsubscribe();
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_offsets_are_reset_reads_everything_again() {
    let access = broker(&["events"]).await;
    let producer: FutureProducer = client(&access).create().expect("a producer");
    for number in 0..12 {
        produce(&producer, "d1.events", &format!("k{number}"), "payload").await;
    }
    read_on(&access, "readers", 12).await;
    read_on(&access, "others", 12).await;
    let pipeline: Arc<dyn Pipeline> = SmallPipeline::default()
        .with_kafka(access.clone())
        .with_victims("reader", 1)
        .await
        .share();
    let reset = fault(kind(
        r#"kind = "offsets_reset"
        group = "readers"
        topic = "events"
        component = "reader""#,
    ));
    let mut injection = inject(&reset, &pipeline, 1).await.expect("injected");
    assert_eq!(
        pipeline.exits("reader-1").len(),
        1,
        "its processes were started again"
    );
    pipeline
        .ready("reader-1", SOON)
        .await
        .expect("and are ready");
    assert_eq!(
        injection.felt().await.expect("a witness").count,
        0,
        "nothing was read again yet"
    );
    assert_eq!(read_on(&access, "readers", 12).await, 12, "it bites");
    let kafka = Kafka::through(access);
    let others: i64 = kafka
        .committed("others", "events")
        .await
        .expect("offsets")
        .values()
        .filter(|offset| **offset > 0)
        .sum();
    assert_eq!(others, 12, "other groups are spared");
    assert_eq!(injection.heal().await.expect("healed").felt.count, 12);
}

/// A broker with two clients, each behind a link of its own.
struct Linked {
    access: KafkaAccess,
    pipeline: Arc<dyn Pipeline>,
    hurt: rdkafka::ClientConfig,
    spared: rdkafka::ClientConfig,
    _proxies: Proxies,
}

impl Linked {
    async fn set() -> Self {
        let access = broker(&["events"]).await;
        let broker = access.embedded.clone().expect("it is embedded");
        let proxies = Proxies::start().await;
        let mut pipeline = SmallPipeline::default().with_kafka(access.clone());
        let mut clients = Vec::new();
        for name in ["shop-1", "desk-1"] {
            let listener = broker.listen(name, None).await.expect("a listener");
            let wire = proxies
                .link(name, "kafka", listener.address(), Protocol::Kafka)
                .await;
            pipeline = pipeline.with_link(wire.link);
            let mut configuration = rdkafka::ClientConfig::new();
            configuration
                .set("bootstrap.servers", wire.entry.to_string())
                .set("reconnect.backoff.ms", "20")
                .set("reconnect.backoff.max.ms", "100")
                .set("message.timeout.ms", "8000");
            clients.push(configuration);
        }
        let spared = clients.pop().expect("two clients");
        let hurt = clients.pop().expect("two clients");
        Self {
            access,
            pipeline: pipeline.share(),
            hurt,
            spared,
            _proxies: proxies,
        }
    }

    /// Whether a message is stored, as its producer is told within a time.
    async fn stores(
        &self,
        client: &rdkafka::ClientConfig,
        payload: &str,
        within: Duration,
    ) -> bool {
        let producer: FutureProducer = client.create().expect("a producer");
        let record = FutureRecord::to("d1.events").key("k").payload(payload);
        matches!(
            tokio::time::timeout(within, producer.send(record, within)).await,
            Ok(Ok(_))
        )
    }

    async fn copies(&self, payload: &str) -> usize {
        let found = contents(&self.access, "events").await;
        let copies = found.iter().filter(|((_, found, _), _)| found == payload);
        copies.map(|(_, count)| count).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_acknowledgement_makes_a_careless_producer_write_twice() {
    let linked = Linked::set().await;
    let lost = fault(kind(
        r#"kind = "kafka_answers"
        link = "shop -> kafka"
        api = "Produce"
        topic = "events"
        action = "lose"
        times = 1"#,
    ));
    let mut injection = inject(&lost, &linked.pipeline, 1).await.expect("injected");
    assert!(linked.stores(&linked.spared, "spared", SOON).await);
    assert_eq!(
        injection.felt().await.expect("a witness").count,
        0,
        "it spares"
    );
    assert!(
        linked.stores(&linked.hurt, "twice", SOON).await,
        "it is repeated"
    );
    assert_eq!(linked.copies("twice").await, 2, "it bites");
    assert_eq!(linked.copies("spared").await, 1);
    assert_eq!(injection.heal().await.expect("healed").felt.count, 1);
    assert!(linked.stores(&linked.hurt, "after", SOON).await);
    assert_eq!(linked.copies("after").await, 1, "it heals");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_told_to_the_client_only() {
    let linked = Linked::set().await;
    let refused = fault(kind(
        r#"kind = "kafka_answers"
        link = "shop-1 -> kafka"
        api = "Produce"
        action = "error"
        error = "message_too_large""#,
    ));
    let mut injection = inject(&refused, &linked.pipeline, 1)
        .await
        .expect("injected");
    assert!(
        !linked.stores(&linked.hurt, "refused", SOON).await,
        "it bites"
    );
    assert!(
        linked.stores(&linked.spared, "spared", SOON).await,
        "it spares"
    );
    assert!(injection.heal().await.expect("healed").felt.is_enough());
    assert!(linked.stores(&linked.hurt, "after", SOON).await, "it heals");
    assert_eq!(linked.copies("refused").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_broker_is_looked_for_and_keeps_what_it_had() {
    let linked = Linked::set().await;
    assert!(linked.stores(&linked.hurt, "before", SOON).await);
    let stopped = fault(kind(
        "kind = \"broker_stopped\"\nlinks = [\"shop -> kafka\"]",
    ));
    let mut injection = inject(&stopped, &linked.pipeline, 1)
        .await
        .expect("injected");
    let quickly = Duration::from_millis(500);
    assert!(
        !linked.stores(&linked.hurt, "lost", quickly).await,
        "it bites"
    );
    assert!(
        linked.stores(&linked.spared, "spared", SOON).await,
        "other links are spared"
    );
    let felt = injection.wait_until_felt(2, SOON).await.expect("a witness");
    assert!(felt.is_enough());
    injection.heal().await.expect("healed");
    assert!(linked.stores(&linked.hurt, "after", SOON).await, "it heals");
    assert_eq!(linked.copies("before").await, 1);
}
