//! Prints the figures that drills depend on, each beside its goal. Goals hold for two free cores and a release build.

#![allow(
    clippy::print_stdout,
    reason = "a benchmark reports on standard output"
)]

use kafka_broker::{Broker, BrokerConfig, GroupState, Listener, OffsetReset};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const RECORDS: usize = 50_000;
const RECORD_BYTES: usize = 300;
const MEMBERS: usize = 50;
/// The median of so many runs is reported where one run is short.
const RUNS: usize = 5;
const LIMIT: Duration = Duration::from_secs(60);

/// Counts acknowledged records.
#[derive(Clone, Default)]
struct Acknowledged(Arc<AtomicUsize>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok(), "a record was not acknowledged");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    for idempotent in [false, true] {
        let mut runs: Vec<f64> = (0..RUNS)
            .map(|_| runtime.block_on(produce(idempotent)))
            .collect();
        runs.sort_by(f64::total_cmp);
        let seconds = runs[RUNS / 2];
        let name = format!(
            "{RECORDS} x {RECORD_BYTES} B produced, idempotence {}",
            if idempotent { "on" } else { "off" }
        );
        report(&name, seconds, 0.2);
    }
    let (joined, consumed, duplicates) = runtime.block_on(crowd());
    report(&format!("{MEMBERS} members joined"), joined, 0.3);
    println!(
        "{:<52} {consumed:>8.3} s",
        format!("{RECORDS} records consumed by them, joining included")
    );
    println!(
        "{:<52} {duplicates:>8}      goal 0",
        "records delivered more than once"
    );
    for prepared in [false, true] {
        let (assigned, first) = runtime.block_on(alone(prepared));
        let offsets = if prepared { "with" } else { "without" };
        println!(
            "{:<52} {assigned:>8.3} s",
            format!("one member assigned, {offsets} committed offsets")
        );
        println!("{:<52} {first:>8.3} s", "  and its first record");
    }
    let (median, worst) = runtime.block_on(trickle());
    println!(
        "{:<52} {:>8.3} ms",
        "one record at a time, end to end, median",
        median * 1e3
    );
    println!("{:<52} {:>8.3} ms", "  the slowest of 200", worst * 1e3);
}

fn report(name: &str, seconds: f64, goal: f64) {
    let verdict = if seconds <= goal { "met" } else { "MISSED" };
    println!("{name:<52} {seconds:>8.3} s    goal {goal} s {verdict}");
}

async fn start(partitions: usize) -> (Broker, Listener) {
    let broker = Broker::new(BrokerConfig::default());
    let listener = broker.listen("bench", None).await.expect("listen");
    broker
        .create_topic("orders", i32::try_from(partitions).expect("partitions"))
        .expect("topic");
    (broker, listener)
}

fn client(listener: &Listener) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", listener.address().to_string());
    config
}

fn producer(listener: &Listener, idempotent: bool) -> BaseProducer<Acknowledged> {
    client(listener)
        .set("acks", "all")
        .set(
            "enable.idempotence",
            if idempotent { "true" } else { "false" },
        )
        .create_with_context(Acknowledged::default())
        .expect("producer")
}

fn send(producer: &BaseProducer<Acknowledged>, partition: usize, payload: &[u8]) {
    let record: BaseRecord<'_, (), [u8]> = BaseRecord::to("orders")
        .partition(partition as i32)
        .payload(payload);
    producer
        .send(record)
        .map_err(|(error, _)| error)
        .expect("queued");
}

/// Sends `count` records round the partitions and waits for all acknowledgements; returns the seconds it took.
fn send_all(producer: &BaseProducer<Acknowledged>, partitions: usize, count: usize) -> f64 {
    let acknowledged = producer.context().clone();
    acknowledged.0.store(0, Ordering::Relaxed);
    let payload = vec![b'x'; RECORD_BYTES];
    let started = Instant::now();
    for number in 0..count {
        send(producer, number % partitions, &payload);
    }
    while acknowledged.0.load(Ordering::Relaxed) < count {
        producer.poll(Duration::from_millis(1));
    }
    started.elapsed().as_secs_f64()
}

async fn produce(idempotent: bool) -> f64 {
    let (broker, listener) = start(8).await;
    let seconds = tokio::task::spawn_blocking(move || {
        let producer = producer(&listener, idempotent);
        // Connecting and the producer id are not part of the figure.
        send_all(&producer, 8, 8);
        send_all(&producer, 8, RECORDS)
    });
    let seconds = seconds.await.expect("produced");
    let stored: i64 = broker
        .offsets("orders")
        .expect("topic")
        .iter()
        .map(|partition| partition.end)
        .sum();
    assert_eq!(stored, RECORDS as i64 + 8, "records stored");
    seconds
}

fn consumer(listener: &Listener, group: &str) -> StreamConsumer {
    let consumer: StreamConsumer = client(listener)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("consumer");
    consumer.subscribe(&["orders"]).expect("subscribe");
    consumer
}

async fn stable(broker: &Broker, group: &str, members: usize) {
    let is_stable = |broker: &Broker| {
        let group = broker.group(group);
        group.is_some_and(|group| {
            group.state == GroupState::Stable && group.members.len() == members
        })
    };
    assert!(broker.wait_for(LIMIT, is_stable).await, "{group} is stable");
}

/// Seconds until all members of a group had partitions, seconds until all records were consumed, and duplicates.
async fn crowd() -> (f64, f64, usize) {
    let (broker, listener) = start(MEMBERS).await;
    let sending = listener.clone();
    let sent =
        tokio::task::spawn_blocking(move || send_all(&producer(&sending, false), MEMBERS, RECORDS));
    sent.await.expect("sent");
    let (seen, mut received) = tokio::sync::mpsc::unbounded_channel();
    let mut members = tokio::task::JoinSet::new();
    let started = Instant::now();
    for _ in 0..MEMBERS {
        let member = consumer(&listener, "crowd");
        let seen = seen.clone();
        members.spawn(async move {
            while let Ok(message) = member.recv().await {
                if seen.send((message.partition(), message.offset())).is_err() {
                    return;
                }
            }
        });
    }
    stable(&broker, "crowd", MEMBERS).await;
    let joined = started.elapsed().as_secs_f64();
    let mut counts: HashMap<(i32, i64), usize> = HashMap::new();
    while counts.len() < RECORDS {
        *counts
            .entry(received.recv().await.expect("members"))
            .or_default() += 1;
    }
    let consumed = started.elapsed().as_secs_f64();
    broker.shutdown().await;
    members.shutdown().await;
    (
        joined,
        consumed,
        counts.values().map(|count| count - 1).sum(),
    )
}

/// Seconds until a single member had its partitions, and until its first record.
async fn alone(prepared: bool) -> (f64, f64) {
    let (broker, listener) = start(8).await;
    broker
        .append("orders", 0, None, Some(b"value"), &[])
        .expect("append");
    if prepared {
        broker
            .reset_offsets("worker", "orders", OffsetReset::Earliest)
            .expect("reset");
    }
    let started = Instant::now();
    let member = consumer(&listener, "worker");
    let assigned = async {
        stable(&broker, "worker", 1).await;
        started.elapsed().as_secs_f64()
    };
    let first = async {
        member.recv().await.expect("record");
        started.elapsed().as_secs_f64()
    };
    tokio::join!(assigned, first)
}

/// Median and greatest delay, in seconds, of records that are produced one by one.
async fn trickle() -> (f64, f64) {
    let (broker, listener) = start(1).await;
    let member = consumer(&listener, "worker");
    broker
        .append("orders", 0, None, Some(b"first"), &[])
        .expect("append");
    member.recv().await.expect("record");
    let producer: BaseProducer<Acknowledged> = client(&listener)
        .set("linger.ms", "0")
        .create_with_context(Acknowledged::default())
        .expect("producer");
    send_all(&producer, 1, 1);
    member.recv().await.expect("record");
    let mut delays = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        send(&producer, 0, b"value");
        member.recv().await.expect("record");
        delays.push(started.elapsed().as_secs_f64());
        producer.poll(Duration::ZERO);
    }
    delays.sort_by(f64::total_cmp);
    (delays[100], delays[199])
}
