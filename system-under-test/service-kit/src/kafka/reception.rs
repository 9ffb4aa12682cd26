//! The consumer's loop: partitions side by side, messages of one partition one after the other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures::FutureExt;
use prometheus_client::metrics::gauge::Gauge;
use rdkafka::Message;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::assignment::{Assignment, Partition};
use super::batch::{BatchLimits, BatchWork};
use super::commit::Committer;
use super::consumer::Consumption;
use super::group::GroupContext;
use super::message::{Failure, Received};
use super::producer::{Outgoing, Producer};
use super::settings::KafkaSettings;
use crate::fail_point;
use crate::metrics::{Counters, Durations};
use crate::service::Service;
use crate::shutdown::Shutdown;

/// Time between two looks whether an offset has been committed before its work.
const COMMIT_LOOK: Duration = Duration::from_millis(5);

/// Longest wait for that.
const COMMIT_LIMIT: Duration = Duration::from_secs(5);

/// Longest wait for the consumer to leave its group; after it the broker has to find out by itself.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Observation {
    outcomes: Counters,
    durations: Durations,
    in_work: Gauge,
}

impl Observation {
    fn new(service: &Service) -> Self {
        let metrics = &service.metrics;
        Self {
            outcomes: metrics.counters(
                "kafka_messages",
                "Attempts at consumed messages, by topic and outcome",
            ),
            durations: metrics.durations(
                "kafka_work_seconds",
                "Time of one attempt at a message, by topic",
            ),
            in_work: metrics.gauge("kafka_in_work", "Messages in work"),
        }
    }

    fn count(&self, topic: &str, outcome: &str) {
        let labels = vec![("topic", topic.to_owned()), ("outcome", outcome.to_owned())];
        self.outcomes.get_or_create(&labels).inc();
    }
}

/// A consumer at work.
pub(super) struct Reception<W> {
    client: Arc<StreamConsumer<GroupContext>>,
    assignment: Arc<Assignment>,
    settings: KafkaSettings,
    consumption: Consumption,
    service: &'static str,
    producer: Producer,
    work: W,
    permits: Semaphore,
    due: Arc<Notify>,
    workers: TaskTracker,
    shutdown: Shutdown,
    observation: Observation,
}

impl<W: BatchWork> Reception<W> {
    pub(super) fn new(
        client: StreamConsumer<GroupContext>,
        assignment: Arc<Assignment>,
        settings: &KafkaSettings,
        consumption: Consumption,
        service: &Service,
        producer: Producer,
        work: W,
    ) -> Self {
        Self {
            client: Arc::new(client),
            assignment,
            settings: settings.clone(),
            consumption,
            service: service.name,
            producer,
            work,
            permits: Semaphore::new(settings.concurrent_messages),
            due: Arc::default(),
            workers: TaskTracker::new(),
            shutdown: service.shutdown.clone(),
            observation: Observation::new(service),
        }
    }

    /// Receives and works until shutdown, then finishes what is in work and leaves the group.
    ///
    /// # Errors
    /// The client failed for good.
    pub(super) async fn run(self: Arc<Self>) -> Result<(), KafkaError> {
        let stop_committing = CancellationToken::new();
        let committer = Committer {
            consumer: self.client.clone(),
            assignment: self.assignment.clone(),
            due: self.due.clone(),
        };
        let committing = tokio::spawn(committer.run(stop_committing.clone()));
        let outcome = self.receive().await;
        self.workers.close();
        self.workers.wait().await;
        stop_committing.cancel();
        if let Err(panic) = committing.await {
            tracing::error!(%panic, "the committer failed");
        }
        self.close().await;
        outcome
    }

    /// Closing leaves the group, which waits for the broker. It has its own thread, for which nobody waits longer than a
    /// bound: librdkafka can lose the question that a rebalance asks of it if it comes as the group membership ends, and
    /// then waits for the answer for ever (seen with rdkafka 0.39, in `rd_kafka_rebalance_protocol`).
    async fn close(self: Arc<Self>) {
        let (closed, closing) = oneshot::channel();
        let started = thread::Builder::new()
            .name("kafka close".to_owned())
            .spawn(move || {
                drop(self);
                // Whoever waited may have given up.
                let _ = closed.send(());
            });
        if let Err(error) = started {
            tracing::error!(%error, "no thread to close the consumer");
            return;
        }
        match tokio::time::timeout(CLOSE_LIMIT, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::error!("closing the consumer failed"),
            Err(_) => tracing::warn!(limit = ?CLOSE_LIMIT, "the consumer is left unclosed"),
        }
    }

    async fn receive(self: &Arc<Self>) -> Result<(), KafkaError> {
        loop {
            let received = tokio::select! {
                biased;
                () = self.shutdown.begun() => return Ok(()),
                received = self.client.recv() => received.map(|message| self.queue(&message)),
            };
            match received {
                Ok(Some(partition)) => self.start_work(partition).await,
                Ok(None) => {}
                Err(error) => self.survive(error)?,
            }
        }
    }

    /// Only a fatal error of the client ends the loop; it gets over everything else by itself.
    fn survive(&self, error: KafkaError) -> Result<(), KafkaError> {
        if let Some((code, reason)) = self.client.client().fatal_error() {
            tracing::error!(%code, reason, "the Kafka client cannot go on");
            return Err(error);
        }
        tracing::info!(%error, "the Kafka client reports");
        Ok(())
    }

    /// Puts a message into its partition's lane; returns the partition when somebody must start to work on it.
    fn queue(&self, message: &BorrowedMessage<'_>) -> Option<Arc<Partition>> {
        let partition = self.assignment.find(message.topic(), message.partition());
        let Some(partition) = partition else {
            tracing::warn!(
                topic = message.topic(),
                partition = message.partition(),
                "a message of a partition not ours"
            );
            return None;
        };
        let idle = partition.push(Received::new(message, &self.settings.prefix));
        if partition.must_pause(self.settings.partition_queue)
            && let Err(error) = self.client.pause(&partition.place())
        {
            tracing::info!(%error, "a full partition was not paused");
        }
        idle.then_some(partition)
    }

    async fn start_work(self: &Arc<Self>, partition: Arc<Partition>) {
        let reception = self.clone();
        let working = async move {
            reception.work_through(&partition).await;
            partition.rest();
        };
        if self.consumption.poll_while_working {
            self.workers.spawn(working);
        } else {
            working.await;
        }
    }

    /// Works on the messages of a partition until none is left, the partition is lost, or the service stops.
    async fn work_through(self: Arc<Self>, partition: &Arc<Partition>) {
        let limits = self.work.limits();
        loop {
            self.linger(partition, &limits).await;
            let batch = partition.next(&limits);
            let Some(last) = batch.last() else {
                return;
            };
            let permit = tokio::select! {
                permit = self.permits.acquire() => permit,
                () = partition.lost.cancelled() => return,
            };
            let Ok(_permit) = permit else {
                return;
            };
            if partition.lost.is_cancelled() || self.shutdown.has_begun() {
                return;
            }
            let next_offset = last.offset + 1;
            if !self.consumption.commit_after_work {
                self.commit_before_work(partition, next_offset).await;
            }
            if !self.settle(partition, &batch).await {
                return;
            }
            if self.consumption.commit_after_work {
                partition.mark_done(next_offset);
                self.due.notify_one();
            }
            if partition.must_resume(self.settings.partition_queue)
                && let Err(error) = self.client.resume(&partition.place())
            {
                tracing::info!(%error, "a drained partition was not resumed");
            }
        }
    }

    /// Lets a batch gather.
    async fn linger(&self, partition: &Partition, limits: &BatchLimits) {
        let waiting = partition.waiting();
        if limits.linger.is_zero() || waiting == 0 || waiting >= limits.messages {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(limits.linger) => {}
            () = partition.lost.cancelled() => {}
            () = self.shutdown.begun() => {}
        }
    }

    /// Has an offset committed and waits for it, so that a crash in the work finds it committed. Only the committer
    /// commits: two commits under way could overtake each other.
    async fn commit_before_work(&self, partition: &Arc<Partition>, next_offset: i64) {
        partition.mark_done(next_offset);
        self.due.notify_one();
        let committed = async {
            while !partition.is_committed(next_offset) && !partition.lost.is_cancelled() {
                tokio::time::sleep(COMMIT_LOOK).await;
            }
        };
        if tokio::time::timeout(COMMIT_LIMIT, committed).await.is_err() {
            tracing::info!("the work begins although its offset is not committed yet");
        }
    }

    /// Tries a batch until all of it is done or parked; false when the partition was lost or the service stops before.
    async fn settle(&self, partition: &Partition, batch: &[Received]) -> bool {
        let Some(first) = batch.first() else {
            return true;
        };
        let span = tracing::info_span!(
            "message",
            topic = first.topic,
            partition = first.partition,
            offset = first.offset,
            order_id = first.key.as_deref().unwrap_or_default(),
            trace_id = first.trace.id(),
        );
        self.settle_in_span(partition, first, batch)
            .instrument(span)
            .await
    }

    async fn settle_in_span(
        &self,
        partition: &Partition,
        first: &Received,
        batch: &[Received],
    ) -> bool {
        let mut attempt = 1;
        let mut failures = 0;
        loop {
            let outcome = match self.attempt(first, batch).await {
                Ok(()) => return true,
                Err(failure) => failure,
            };
            if matches!(outcome, Failure::Failed(_)) || !self.settings.only_blame_counts {
                failures += 1;
            }
            let give_up = matches!(outcome, Failure::Unprocessable(_))
                || failures >= self.settings.work_attempts;
            if give_up
                && self.consumption.dead_letters
                && self.park_all(batch, outcome.reason()).await
            {
                return true;
            }
            tracing::warn!(attempt, failure = %outcome, "work on a message did not succeed");
            let pause = self.pause_after(attempt);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = partition.lost.cancelled() => return false,
                () = self.shutdown.begun() => return false,
            }
            attempt = attempt.saturating_add(1);
        }
    }

    async fn attempt(&self, first: &Received, batch: &[Received]) -> Result<(), Failure> {
        let begun = Instant::now();
        self.observation.in_work.inc();
        let work = AssertUnwindSafe(first.trace.scope(self.work.process(batch))).catch_unwind();
        let outcome = work
            .await
            .unwrap_or_else(|_| Err(Failure::Failed("the work panicked".to_owned())));
        self.observation.in_work.dec();
        let labels = vec![("topic", first.topic.clone())];
        self.observation
            .durations
            .get_or_create(&labels)
            .observe(begun.elapsed().as_secs_f64());
        self.observation.count(
            &first.topic,
            if outcome.is_ok() { "done" } else { "failed" },
        );
        for refused in outcome? {
            let message = batch.get(refused.index);
            if let Some(message) = message
                && !self.park(message, &refused.reason).await
            {
                let reason = format!(
                    "a message that cannot be processed was not parked: {}",
                    refused.reason
                );
                return Err(Failure::Unavailable(reason));
            }
        }
        match self.consumption.before_commit {
            Some(name) => fail_point::pass(name)
                .await
                .map_err(|injected| Failure::Unavailable(injected.to_string())),
            None => Ok(()),
        }
    }

    async fn park_all(&self, batch: &[Received], reason: &str) -> bool {
        for message in batch {
            if !self.park(message, reason).await {
                return false;
            }
        }
        true
    }

    /// Parks a message with the reason and the place it came from; false when that did not succeed.
    async fn park(&self, message: &Received, reason: &str) -> bool {
        let topic = format!("{}.dead", message.topic);
        let headers = [
            ("dead-reason", reason.to_owned()),
            ("dead-topic", message.topic.clone()),
            ("dead-partition", message.partition.to_string()),
            ("dead-offset", message.offset.to_string()),
            ("dead-service", self.service.to_owned()),
        ];
        let record = Outgoing {
            topic: &topic,
            key: message.key.as_deref().unwrap_or_default(),
            payload: &message.payload,
            trace: Some(message.trace),
            headers: &headers,
        };
        match self.producer.send(record).await {
            Ok(_) => {
                tracing::warn!(reason, "a message was parked");
                self.observation.count(&message.topic, "parked");
                true
            }
            Err(error) => {
                tracing::warn!(%error, reason, "a message could not be parked");
                false
            }
        }
    }

    /// Doubles with each attempt up to the largest pause, and varies by half.
    fn pause_after(&self, attempt: u32) -> Duration {
        let full = self
            .settings
            .work_pause
            .saturating_mul(1 << (attempt - 1).min(16));
        full.min(self.settings.work_pause_max)
            .mul_f64(0.5 + crate::jitter::share() / 2.0)
    }
}
