//! The group's member as the client sees it: told of rebalances, and of how far the group is behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::QuietClient;
use super::assignment::{Assignment, Backlog, Partition, places};
use crate::metrics::Gauges;

/// Longest time for which a rebalance is held up by work on partitions that go to another member. Whoever waits in a
/// callback does not poll, so it must be far shorter than the time after which a member that does not poll is expelled.
const HANDOVER_LIMIT: Duration = Duration::from_secs(2);

/// Hears of rebalances, and of how far the group is behind.
pub(super) struct GroupContext {
    pub(super) assignment: Arc<Assignment>,
    /// Messages that are not committed yet, of the partitions that are ours, by topic.
    pub(super) lag: Gauges,
    /// What stands before the name of every topic.
    pub(super) prefix: String,
    /// How long a partition that goes to another member is kept for the work that is under way on it; none where offsets
    /// are committed before the work, so that nobody repeats it anyway.
    pub(super) handover_limit: Option<Duration>,
}

/// How long work under way may hold up a rebalance, given how long a member may go without polling.
pub(super) fn handover_limit(max_poll_interval: Duration) -> Duration {
    HANDOVER_LIMIT.min(max_poll_interval / 4)
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        QuietClient.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        QuietClient.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let mut backlog = Backlog::default();
        for (name, topic) in &statistics.topics {
            let mut lag = 0;
            // The client also shows a partition -1, for what it cannot place.
            for partition in topic
                .partitions
                .values()
                .filter(|shown| shown.partition >= 0)
            {
                backlog.all += 1;
                if let Some(ours) = self.assignment.find(name, partition.partition) {
                    backlog.ours += 1;
                    // Unknown is -1: until the first answer of the broker, or until the group's first commit.
                    lag += match partition.consumer_lag {
                        known @ 0.. => known,
                        _ => ours.lag_before(partition.ls_offset),
                    };
                }
            }
            backlog.messages += lag.unsigned_abs();
            let topic = name.strip_prefix(&self.prefix).unwrap_or(name).to_owned();
            self.lag.get_or_create(&vec![("topic", topic)]).set(lag);
        }
        self.assignment.note_backlog(backlog);
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(places) => self.assignment.gain(places),
            Rebalance::Revoke(places) => {
                let lost = self.assignment.lose(places);
                // A member that was expelled has nothing to hand over: others own its partitions already.
                if let Some(limit) = self.handover_limit
                    && !consumer.assignment_lost()
                {
                    hand_over(consumer, &lost, limit);
                }
            }
            Rebalance::Error(error) => tracing::warn!(%error, "rebalance failed"),
        }
    }

    /// Only a handover does not wait for this answer itself.
    fn commit_callback(&self, answer: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = answer {
            tracing::info!(%error, "offsets were not committed at a handover; work may be repeated");
        }
    }
}

/// Lets the work under way on these partitions end and commits it, so that their next owner does not do it again.
fn hand_over(consumer: &BaseConsumer<GroupContext>, lost: &[Arc<Partition>], limit: Duration) {
    let deadline = Instant::now() + limit;
    let rested = blocking(|| {
        lost.iter()
            .filter(|partition| partition.wait_for_rest(deadline))
            .count()
    });
    if rested < lost.len() {
        tracing::info!(
            partitions = lost.len() - rested,
            ?limit,
            "work is still under way on partitions that go to another member; it may be repeated there"
        );
    }
    let due: Vec<_> = lost
        .iter()
        .filter_map(|partition| Some((partition.clone(), partition.due()?)))
        .collect();
    // The client sends it before it gives the partitions back. Waiting for the answer would hold up the group as long as
    // the broker is silent.
    if !due.is_empty()
        && let Err(error) = consumer.commit(&places(&due), CommitMode::Async)
    {
        tracing::info!(%error, "offsets were not committed at a handover");
    }
}

/// Waits on this thread. The runtime's other tasks move to another one: what is waited for may be among them.
fn blocking<T>(wait: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}
