//! Kafka mode between librdkafka and a broker. The broker's log and the client's own reports are the witnesses.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use faultproxy::{FaultProxy, KafkaAction, KafkaRule, KafkaSettings, Mode, ProxyConfig};
use kafka_broker::{Broker, BrokerConfig, Listener};
use rdkafka::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use support::LIMIT;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const TOPIC: &str = "orders";

/// A broker that tells everyone its real address, and a Kafka-aware proxy in front of it.
struct Link {
    broker: Broker,
    listener: Listener,
    proxy: Arc<FaultProxy>,
}

impl Link {
    async fn start() -> Self {
        let broker = Broker::new(BrokerConfig::default());
        let listener = broker.listen("service", None).await.expect("a listener");
        broker.create_topic(TOPIC, 2).expect("a topic");
        let config = ProxyConfig {
            mode: Mode::Kafka(KafkaSettings::default()),
            ..ProxyConfig::new("service->kafka", listener.address().to_string())
        };
        let proxy = FaultProxy::start(config).await.expect("a proxy");
        Self {
            broker,
            listener,
            proxy,
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.proxy.address().to_string())
            .set("reconnect.backoff.ms", "10")
            .set("reconnect.backoff.max.ms", "50")
            .set("retry.backoff.ms", "20")
            .set("log_level", "0");
        config
    }

    fn producer(&self, idempotent: bool) -> FutureProducer {
        self.client()
            .set("enable.idempotence", idempotent.to_string())
            .set("message.timeout.ms", "8000")
            .set("linger.ms", "0")
            .create()
            .expect("a producer")
    }

    /// How often each payload lies in the log.
    fn logged(&self) -> BTreeMap<String, usize> {
        let mut payloads = BTreeMap::new();
        for partition in 0..2 {
            for record in self.broker.records(TOPIC, partition, 0).expect("the topic") {
                let payload =
                    String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned();
                *payloads.entry(payload).or_default() += 1;
            }
        }
        payloads
    }

    fn rule(
        &self,
        name: &str,
        api: &str,
        action: KafkaAction,
        times: Option<u64>,
    ) -> faultproxy::KafkaRuleHandle {
        let rule = KafkaRule {
            times,
            ..KafkaRule::new(name, api, action)
        };
        self.proxy.add_kafka_rule(rule).expect("a rule")
    }

    /// Every connection of the client went through the proxy.
    fn assert_nobody_got_around(&self) {
        assert_eq!(self.listener.connections(), self.proxy.counters().accepted);
    }
}

async fn produce(
    producer: &FutureProducer,
    payload: &str,
) -> Result<(), rdkafka::error::KafkaError> {
    let record = FutureRecord::to(TOPIC).key("key").payload(payload);
    producer
        .send(record, LIMIT)
        .await
        .map(drop)
        .map_err(|(error, _)| error)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_never_learn_the_brokers_address() {
    let link = Link::start().await;
    let producer = link.producer(false);
    for n in 0..10 {
        produce(&producer, &format!("message {n}"))
            .await
            .expect("delivered");
    }
    let asking = producer.clone();
    let metadata = tokio::task::spawn_blocking(move || asking.client().fetch_metadata(None, LIMIT))
        .await
        .expect("no panic")
        .expect("metadata");
    let ports: Vec<_> = metadata
        .brokers()
        .iter()
        .map(|broker| broker.port())
        .collect();
    assert_eq!(ports, [i32::from(link.proxy.address().port())]);

    let consumer: StreamConsumer = link
        .client()
        .set("group.id", "group")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "2000")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    consumer.subscribe(&[TOPIC]).expect("subscribed");
    for _ in 0..10 {
        let message = timeout(LIMIT, consumer.recv())
            .await
            .expect("in time")
            .expect("a message");
        consumer
            .commit_message(&message, CommitMode::Sync)
            .expect("committed");
        assert!(message.payload().is_some());
    }
    assert_eq!(link.broker.lag("group"), 0);
    link.assert_nobody_got_around();
    let counts = link.proxy.counters().kafka.expect("Kafka mode counts");
    for api in [
        "Produce",
        "Fetch",
        "Metadata",
        "FindCoordinator",
        "JoinGroup",
        "OffsetCommit",
    ] {
        assert!(
            counts.requests.get(api) >= Some(&1),
            "{api} in {:?}",
            counts.requests
        );
    }
    let total: u64 = counts.requests.values().sum();
    assert_eq!(
        total,
        link.listener.requests(),
        "the broker served what the proxy saw"
    );
    assert_eq!(counts.broken, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_acknowledgements_make_duplicates_only_without_idempotence() {
    for idempotent in [false, true] {
        let link = Link::start().await;
        let producer = link.producer(idempotent);
        produce(&producer, "first").await.expect("delivered");
        let lost = link.rule("acks", "Produce", KafkaAction::LoseAnswer, Some(3));
        for n in 0..10 {
            produce(&producer, &format!("message {n}"))
                .await
                .expect("delivered in the end");
        }
        assert_eq!(lost.counts().acted, 3);
        let logged = link.logged();
        assert_eq!(logged.len(), 11, "nothing is missing: {logged:?}");
        let duplicates: usize = logged.values().map(|count| count - 1).sum();
        assert_eq!(
            duplicates,
            if idempotent { 0 } else { 3 },
            "idempotence {idempotent}: {logged:?}"
        );
        link.assert_nobody_got_around();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_and_failed_requests_are_retried_without_a_trace() {
    let link = Link::start().await;
    let producer = link.producer(false);
    produce(&producer, "first").await.expect("delivered");
    let refused = link.rule("refuse", "Produce", KafkaAction::RefuseRequest, Some(2));
    produce(&producer, "second")
        .await
        .expect("delivered in the end");
    assert_eq!(refused.counts().acted, 2);
    // NOT_LEADER_OR_FOLLOWER: with newer versions of Produce the answer could name the broker itself (KIP-951).
    let failed = link.rule(
        "fail",
        "Produce",
        KafkaAction::Error {
            code: 6,
            applied: false,
        },
        Some(3),
    );
    produce(&producer, "third")
        .await
        .expect("delivered in the end");
    assert_eq!(failed.counts().acted, 3);
    assert!(
        link.logged().values().all(|count| *count == 1),
        "{:?}",
        link.logged()
    );
    // MESSAGE_TOO_LARGE is for the application.
    let _large = link.rule(
        "large",
        "Produce",
        KafkaAction::Error {
            code: 10,
            applied: false,
        },
        Some(1),
    );
    produce(&producer, "fourth")
        .await
        .expect_err("the broker refused it");
    assert_eq!(link.logged().len(), 3);
    link.assert_nobody_got_around();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_spares_other_topics_and_other_links_and_heals() {
    let link = Link::start().await;
    link.broker.create_topic("others", 1).expect("a topic");
    let config = ProxyConfig {
        mode: Mode::Kafka(KafkaSettings::default()),
        ..ProxyConfig::new("other->kafka", link.listener.address().to_string())
    };
    let other = FaultProxy::start(config).await.expect("a proxy");
    let rule = KafkaRule {
        topic: Some("others".to_owned()),
        ..KafkaRule::new("late", "Produce", KafkaAction::Delay { delay_ms: 400 })
    };
    let late = link.proxy.add_kafka_rule(rule).expect("a rule");
    let producer = link.producer(false);
    let spared: FutureProducer = link
        .client()
        .set("bootstrap.servers", other.address().to_string())
        .create()
        .expect("a producer");
    let took = async |producer: &FutureProducer, topic: &str| {
        let start = Instant::now();
        let record = FutureRecord::to(topic).key("key").payload("payload");
        producer.send(record, LIMIT).await.expect("delivered");
        start.elapsed()
    };
    let delay = Duration::from_millis(400);
    took(&producer, TOPIC).await;
    took(&spared, "others").await;
    assert!(took(&producer, TOPIC).await < delay);
    assert!(took(&producer, "others").await >= delay);
    assert!(took(&spared, "others").await < delay);
    assert_eq!(late.counts().acted, 1);
    link.proxy.remove_kafka_rule("late").expect("it is there");
    assert!(took(&producer, "others").await < delay);
    assert_eq!(
        link.proxy
            .counters()
            .kafka
            .expect("Kafka mode counts")
            .rules["late"]
            .acted,
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offset_commits_can_fail_applied_or_not() {
    let link = Link::start().await;
    let producer = link.producer(false);
    for n in 0..4 {
        produce(&producer, &format!("message {n}"))
            .await
            .expect("delivered");
    }
    let consumer: StreamConsumer = link
        .client()
        .set("group.id", "group")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    consumer.subscribe(&[TOPIC]).expect("subscribed");
    let next = async || {
        timeout(LIMIT, consumer.recv())
            .await
            .expect("in time")
            .expect("a message")
    };
    let (first, second) = (next().await, next().await);
    // OFFSET_METADATA_TOO_LARGE is not retried.
    let refuse = link.rule(
        "refuse",
        "OffsetCommit",
        KafkaAction::Error {
            code: 12,
            applied: false,
        },
        Some(1),
    );
    consumer
        .commit_message(&first, CommitMode::Sync)
        .expect_err("refused");
    assert_eq!(link.broker.lag("group"), 4, "the broker never heard of it");
    let doubt = link.rule(
        "doubt",
        "OffsetCommit",
        KafkaAction::Error {
            code: 12,
            applied: true,
        },
        Some(1),
    );
    consumer
        .commit_message(&second, CommitMode::Sync)
        .expect_err("it says so");
    assert_eq!(link.broker.lag("group"), 2, "but the broker did it");
    assert_eq!((refuse.counts().acted, doubt.counts().acted), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_frames_end_their_own_connection_only() {
    let link = Link::start().await;
    let producer = link.producer(false);
    produce(&producer, "first").await.expect("delivered");
    for hostile in [
        &b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"[..],
        &[255; 64],
        &[0, 0, 0, 1, 0],
        &[0; 64],
    ] {
        let mut socket = TcpStream::connect(link.proxy.address())
            .await
            .expect("it listens");
        socket.write_all(hostile).await.expect("sent");
        let mut byte = [0];
        let ended = timeout(LIMIT, socket.read(&mut byte))
            .await
            .expect("in time");
        assert!(
            matches!(ended, Ok(0) | Err(_)),
            "{hostile:?} is not answered"
        );
    }
    produce(&producer, "second").await.expect("delivered");
    assert_eq!(
        link.proxy
            .counters()
            .kafka
            .expect("Kafka mode counts")
            .broken,
        4
    );
    assert_eq!(link.logged().len(), 2);
}
