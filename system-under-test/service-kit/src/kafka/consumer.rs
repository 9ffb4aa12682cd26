//! What a service consumes, and how it begins to.

use std::future::Future;
use std::sync::Arc;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;

use super::assignment::Assignment;
use super::batch::{BatchWork, OneByOne};
use super::group::{GroupContext, handover_limit};
use super::message::{Failure, Received};
use super::producer::Producer;
use super::reception::Reception;
use super::settings::KafkaSettings;
use crate::health::Health;
use crate::service::Service;

/// What a service does with a message. It may be called again with the same message, also at the same time on another
/// instance, so it must recognise what it has done already.
pub trait Work: Send + Sync + 'static {
    /// Does the work of one message.
    fn process(&self, message: &Received) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What is consumed, and with which protections.
#[derive(Debug, Clone)]
pub struct Consumption {
    /// The group, without prefix.
    pub group: &'static str,
    /// The topics, without prefix.
    pub topics: &'static [&'static str],
    /// Offsets are committed after the work, and a partition that goes to another member is kept until the work under way on
    /// it is done and committed; otherwise offsets are committed before the work.
    pub commit_after_work: bool,
    /// Messages are polled for while others are in work, so that slow work does not cost the membership; otherwise the
    /// loop works on one message at a time and does not poll meanwhile.
    pub poll_while_working: bool,
    /// Messages that cannot be processed are parked in `<topic>.dead`; otherwise they are tried for ever.
    pub dead_letters: bool,
    /// Fail-point between the work and the commit.
    pub before_commit: Option<&'static str>,
}

/// A running consumer.
#[derive(Clone)]
pub struct Consumer {
    assignment: Arc<Assignment>,
}

impl Consumer {
    /// Whether the group ever gave this consumer an assignment.
    pub fn has_joined(&self) -> bool {
        self.assignment.has_joined()
    }

    /// Messages of this consumer's partitions that are not committed yet, and its share of all partitions, from 0 to 1; as
    /// they were at most half a second ago.
    pub fn backlog(&self) -> (u64, f64) {
        self.assignment.backlog()
    }

    /// Adds the check that the consumer joined its group. It stays passed afterwards: a rebalance is no reason to be
    /// taken out of service.
    pub fn check_joined(&self, health: &Health) {
        let assignment = self.assignment.clone();
        health.check("consumer", move || {
            let joined = assignment.has_joined();
            async move {
                if joined {
                    Ok(())
                } else {
                    Err("has not joined its group yet".to_owned())
                }
            }
        });
    }
}

/// Starts consuming. The task belongs to the service: it ends at shutdown after the messages in work are done and
/// committed, and its failure (only a fatal error of the client) ends the service.
///
/// # Errors
/// The client refuses its configuration or the subscription.
pub fn consume<W: Work>(
    service: &Service,
    settings: &KafkaSettings,
    consumption: Consumption,
    producer: Producer,
    work: W,
) -> Result<Consumer, KafkaError> {
    consume_batches(service, settings, consumption, producer, OneByOne(work))
}

/// Starts consuming several messages of a partition at a time; otherwise as [`consume`].
///
/// # Errors
/// The client refuses its configuration or the subscription.
pub fn consume_batches<W: BatchWork>(
    service: &Service,
    settings: &KafkaSettings,
    consumption: Consumption,
    producer: Producer,
    work: W,
) -> Result<Consumer, KafkaError> {
    let assignment = Arc::new(Assignment::default());
    let context = GroupContext {
        assignment: assignment.clone(),
        lag: service.metrics.gauges(
            "kafka_lag",
            "Messages of this instance's partitions that are not committed yet, by topic",
        ),
        prefix: settings.prefix.clone(),
        handover_limit: consumption
            .commit_after_work
            .then(|| handover_limit(settings.max_poll_interval)),
    };
    let config = settings.consumer(&service.common.instance, consumption.group);
    let client: StreamConsumer<GroupContext> = config.create_with_context(context)?;
    let topics: Vec<_> = consumption
        .topics
        .iter()
        .map(|topic| settings.prefixed(topic))
        .collect();
    client.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
    let reception = Reception::new(
        client,
        assignment.clone(),
        settings,
        consumption,
        service,
        producer,
        work,
    );
    service.spawn("consumer", Arc::new(reception).run());
    Ok(Consumer { assignment })
}
