//! Producer and consumer loop against a broker.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kafka_broker::{ApiKey, Broker, BrokerConfig, FaultAction, FaultRule, Record};
use service_kit::kafka::{
    Consumption, Failure, KafkaSettings, Outgoing, Producer, Received, Work, consume,
};
use service_kit::service::Service;
use service_kit::trace::Trace;

const TOPIC: &str = "work";
const GROUP: &str = "p-group";
const LIMIT: Duration = Duration::from_secs(20);

/// What a test's work does with a message's payload.
type Deed = Arc<dyn Fn(&Received) -> Result<Duration, Failure> + Send + Sync>;

#[derive(Clone)]
struct Recorded {
    deed: Deed,
    seen: Arc<Mutex<Vec<(i32, i64)>>>,
}

impl Recorded {
    fn new(deed: impl Fn(&Received) -> Result<Duration, Failure> + Send + Sync + 'static) -> Self {
        Self {
            deed: Arc::new(deed),
            seen: Arc::default(),
        }
    }

    fn seen(&self) -> Vec<(i32, i64)> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Work for Recorded {
    async fn process(&self, message: &Received) -> Result<(), Failure> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((message.partition, message.offset));
        tokio::time::sleep((self.deed)(message)?).await;
        Ok(())
    }
}

fn at_once() -> Recorded {
    Recorded::new(|_| Ok(Duration::ZERO))
}

struct Fixture {
    broker: Broker,
    brokers: String,
}

impl Fixture {
    async fn new(partitions: i32) -> Self {
        let broker = Broker::new(BrokerConfig::default());
        broker.create_topic("p-work", partitions).expect("a topic");
        broker.create_topic("p-work.dead", 1).expect("a topic");
        let listener = broker.listen("tests", None).await.expect("a listener");
        Self {
            brokers: format!("127.0.0.1:{}", listener.port()),
            broker,
        }
    }

    fn values(&self) -> Vec<(&str, &str)> {
        vec![
            ("KAFKA_BROKERS", self.brokers.as_str()),
            ("TOPIC_PREFIX", "p-"),
            ("KAFKA_SESSION_TIMEOUT_MS", "2000"),
            ("KAFKA_HEARTBEAT_MS", "100"),
            ("KAFKA_MAX_POLL_INTERVAL_MS", "2000"),
            ("KAFKA_SOCKET_TIMEOUT_MS", "1000"),
            ("KAFKA_WORK_ATTEMPTS", "3"),
            ("KAFKA_WORK_PAUSE_MS", "5"),
            ("KAFKA_PARTITION_QUEUE", "4"),
            ("SHUTDOWN_GRACE_S", "10"),
        ]
    }

    async fn consumer(&self, consumption: Consumption, work: Recorded) -> Service {
        let start = async |settings: KafkaSettings,
                           service: Service|
               -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            let producer = Producer::new(&settings, "tests", true)?;
            consume(&service, &settings, consumption, producer, work)?
                .check_joined(&service.health);
            Ok(())
        };
        let service =
            service_testing::start("tests", &self.values(), KafkaSettings::read, start).await;
        service_testing::eventually("the consumer joins", async || {
            service.health.readiness().await.ready
        })
        .await;
        service
    }

    fn append(&self, partition: i32, value: &str) {
        self.broker
            .append("p-work", partition, Some(b"k"), Some(value.as_bytes()), &[])
            .expect("appended");
    }

    /// Waits until the group has committed everything, also in partitions that nobody owns at the moment.
    async fn wait_until_committed(&self) {
        let done = self
            .broker
            .wait_for(LIMIT, |broker| self.uncommitted(broker) == 0);
        assert!(
            done.await,
            "{} not committed",
            self.uncommitted(&self.broker)
        );
    }

    fn uncommitted(&self, broker: &Broker) -> i64 {
        let ends: i64 = broker
            .offsets("p-work")
            .expect("the topic is there")
            .iter()
            .map(|place| place.end)
            .sum();
        let progress = broker.group_progress();
        let committed: i64 = progress
            .iter()
            .filter(|one| one.group == GROUP)
            .filter_map(|one| one.committed)
            .sum();
        ends - committed
    }
}

fn consumption() -> Consumption {
    Consumption {
        group: "group",
        topics: &[TOPIC],
        commit_after_work: true,
        poll_while_working: true,
        dead_letters: true,
        before_commit: None,
    }
}

fn header(record: &Record, key: &str) -> String {
    let value = record
        .headers
        .iter()
        .find(|header| header.key == key)
        .and_then(|header| header.value.clone());
    String::from_utf8(value.unwrap_or_default().to_vec()).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_worked_on_in_order_and_committed() {
    let fixture = Fixture::new(4).await;
    for number in 0..100 {
        fixture.append(number % 4, "x");
    }
    let work = at_once();
    let service = fixture.consumer(consumption(), work.clone()).await;
    fixture.wait_until_committed().await;
    let mut next: HashMap<i32, i64> = HashMap::new();
    for (partition, offset) in work.seen() {
        let expected = next.entry(partition).or_default();
        assert_eq!(offset, *expected, "partition {partition}");
        *expected += 1;
    }
    assert_eq!(work.seen().len(), 100);
    service_testing::stop(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_processed_is_parked_and_those_behind_go_on() {
    let fixture = Fixture::new(1).await;
    for value in ["good", "never", "flaky", "good"] {
        fixture.append(0, value);
    }
    let work = Recorded::new(|message| match message.payload.as_slice() {
        b"never" => Err(Failure::Unprocessable("unreadable".to_owned())),
        b"flaky" => Err(Failure::Failed("always fails".to_owned())),
        _ => Ok(Duration::ZERO),
    });
    let service = fixture.consumer(consumption(), work.clone()).await;
    fixture.wait_until_committed().await;
    let dead = fixture
        .broker
        .records("p-work.dead", 0, 0)
        .expect("the topic is there");
    assert_eq!(dead.len(), 2);
    let expected = [("unreadable", "1"), ("always fails", "2")];
    for (record, (reason, offset)) in dead.iter().zip(expected) {
        assert_eq!(header(record, "dead-reason"), reason);
        assert_eq!(header(record, "dead-topic"), TOPIC);
        assert_eq!(header(record, "dead-partition"), "0");
        assert_eq!(header(record, "dead-offset"), offset);
        assert_eq!(header(record, "dead-service"), "tests");
    }
    assert_eq!(dead[0].value.as_deref(), Some(&b"never"[..]));
    let attempts = work
        .seen()
        .iter()
        .filter(|(_, offset)| *offset == 2)
        .count();
    assert_eq!(attempts, 3, "bounded attempts");
    service_testing::stop(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_that_is_not_the_messages_fault_never_parks_it() {
    let fixture = Fixture::new(1).await;
    fixture.append(0, "x");
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = attempts.clone();
    let work = Recorded::new(move |_| {
        let earlier = counted.fetch_add(1, Ordering::SeqCst);
        if earlier < 6 {
            Err(Failure::Unavailable("no database".to_owned()))
        } else {
            Ok(Duration::ZERO)
        }
    });
    let service = fixture.consumer(consumption(), work).await;
    fixture.wait_until_committed().await;
    assert_eq!(attempts.load(Ordering::SeqCst), 7);
    assert!(
        fixture
            .broker
            .records("p-work.dead", 0, 0)
            .expect("the topic is there")
            .is_empty()
    );
    service_testing::stop(&service).await;
}

/// Deliveries of one message whose work takes longer than a member may go without polling.
async fn deliveries_of_slow_work(poll_while_working: bool) -> usize {
    let fixture = Fixture::new(1).await;
    fixture.append(0, "slow");
    let slow_once = AtomicU32::new(0);
    let work = Recorded::new(move |_| {
        let first = slow_once.fetch_add(1, Ordering::SeqCst) == 0;
        Ok(if first {
            Duration::from_millis(4000)
        } else {
            Duration::ZERO
        })
    });
    let service = fixture
        .consumer(
            Consumption {
                poll_while_working,
                ..consumption()
            },
            work.clone(),
        )
        .await;
    fixture.wait_until_committed().await;
    service_testing::stop(&service).await;
    work.seen().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_work_does_not_cost_the_membership_while_it_polls() {
    let (polling, not_polling) = tokio::join!(
        deliveries_of_slow_work(true),
        deliveries_of_slow_work(false)
    );
    assert_eq!(polling, 1);
    assert!(
        not_polling > 1,
        "without polling the member was not expelled"
    );
}

/// The lag while the only message is in work.
async fn lag_while_in_work(commit_after_work: bool) -> i64 {
    let fixture = Fixture::new(1).await;
    fixture.append(0, "x");
    let work = Recorded::new(|_| Ok(Duration::from_secs(1)));
    let service = fixture
        .consumer(
            Consumption {
                commit_after_work,
                ..consumption()
            },
            work.clone(),
        )
        .await;
    service_testing::eventually("work begins", async || !work.seen().is_empty()).await;
    let lag = fixture.uncommitted(&fixture.broker);
    fixture.wait_until_committed().await;
    service_testing::stop(&service).await;
    lag
}

#[tokio::test(flavor = "multi_thread")]
async fn the_offset_is_committed_after_the_work_or_before_it() {
    assert_eq!(lag_while_in_work(true).await, 1);
    assert_eq!(lag_while_in_work(false).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_and_nothing_is_left_behind() {
    let fixture = Fixture::new(8).await;
    let work = Recorded::new(|_| Ok(Duration::from_millis(2)));
    let first = fixture.consumer(consumption(), work.clone()).await;
    for number in 0..400 {
        fixture.append(number % 8, "x");
    }
    let second = fixture.consumer(consumption(), work.clone()).await;
    service_testing::stop(&first).await;
    for number in 0..80 {
        fixture.append(number % 8, "x");
    }
    fixture.wait_until_committed().await;
    let mut distinct = work.seen();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 480);
    service_testing::stop(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_under_way_is_done_before_its_partition_goes_to_another_member() {
    let fixture = Fixture::new(4).await;
    for partition in 0..4 {
        fixture.append(partition, "x");
    }
    let work = Recorded::new(|_| Ok(Duration::from_millis(400)));
    let first = fixture.consumer(consumption(), work.clone()).await;
    service_testing::eventually("all are in work", async || work.seen().len() == 4).await;
    let second = fixture.consumer(consumption(), work.clone()).await;
    fixture.wait_until_committed().await;
    service_testing::stop(&first).await;
    service_testing::stop(&second).await;
    assert_eq!(work.seen().len(), 4, "{:?}", work.seen());
}

/// Copies in the topic when the acknowledgement of one record is lost.
async fn copies_after_lost_acknowledgement(idempotent: bool) -> usize {
    let fixture = Fixture::new(1).await;
    let settings = service_kit::settings::Settings::read(
        fixture
            .values()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        KafkaSettings::read,
    );
    let producer =
        Producer::new(&settings.expect("good settings"), "tests", idempotent).expect("a producer");
    let record = Outgoing {
        topic: TOPIC,
        key: "k",
        payload: b"x",
        trace: None,
        headers: &[],
    };
    let lost = FaultRule::new(ApiKey::Produce, FaultAction::LoseAnswer).times(1);
    let fault = fixture.broker.add_fault(lost).expect("a rule");
    let placed = producer
        .send(record)
        .await
        .expect("acknowledged in the end");
    assert_eq!(fixture.broker.fault_acted(fault), Some(1));
    assert_eq!(placed.partition, 0);
    fixture
        .broker
        .records("p-work", 0, 0)
        .expect("the topic is there")
        .len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotent_producer_stores_a_record_once() {
    let (idempotent, plain) = tokio::join!(
        copies_after_lost_acknowledgement(true),
        copies_after_lost_acknowledgement(false)
    );
    assert_eq!(idempotent, 1);
    assert_eq!(plain, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_travels_with_the_record() {
    let fixture = Fixture::new(1).await;
    let trace = Trace::start();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let work = Recorded::new(move |message| {
        let _test_is_over = sender.send(message.trace);
        Ok(Duration::ZERO)
    });
    let service = fixture.consumer(consumption(), work).await;
    let settings = service_kit::settings::Settings::read(
        fixture
            .values()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        KafkaSettings::read,
    );
    let producer =
        Producer::new(&settings.expect("good settings"), "tests", false).expect("a producer");
    let record = Outgoing {
        topic: TOPIC,
        key: "k",
        payload: b"x",
        trace: Some(trace),
        headers: &[],
    };
    producer.send(record).await.expect("acknowledged");
    let received = tokio::time::timeout(LIMIT, receiver.recv())
        .await
        .expect("in time")
        .expect("a trace");
    assert_eq!(received.id(), trace.id());
    service_testing::stop(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_consumer_is_behind_is_shown_until_it_has_caught_up() {
    let fixture = Fixture::new(2).await;
    let waits = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let work = {
        let waits = waits.clone();
        Recorded::new(move |_| {
            if waits.load(Ordering::Acquire) {
                return Err(Failure::Unavailable("not yet".to_owned()));
            }
            Ok(Duration::ZERO)
        })
    };
    for number in 0..5 {
        fixture.append(number % 2, "x");
    }
    let service = fixture.consumer(consumption(), work).await;
    let shows = async |lag: &str| {
        let text = service.metrics.text().expect("metrics");
        text.contains(&format!("kafka_lag{{topic=\"work\"}} {lag}\n"))
    };
    service_testing::eventually("the lag is shown", async || shows("5").await).await;
    waits.store(false, Ordering::Release);
    service_testing::eventually("the lag is gone", async || shows("0").await).await;
    service_testing::stop(&service).await;
}
