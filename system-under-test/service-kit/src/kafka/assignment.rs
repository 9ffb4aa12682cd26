//! Which partitions are ours, what waits in each, and how far each is done.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::batch::BatchLimits;
use super::message::Received;

/// One partition while it is ours. After it was lost and given to us again there is a new value for it.
pub(super) struct Partition {
    /// The topic, with prefix.
    pub(super) topic: String,
    pub(super) number: i32,
    /// Cancelled when the partition is no longer ours: nothing new is begun, and the committer passes it over.
    pub(super) lost: CancellationToken,
    lane: Mutex<Lane>,
    /// Told whenever somebody has stopped working on this partition.
    rested: Condvar,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Received>,
    in_work: bool,
    /// Who was started by a push and has not said that it ended; two for a moment, while one ends and the next begins.
    workers: usize,
    paused: bool,
    /// The offset of the first message since the partition became ours.
    first: Option<i64>,
    /// The offset after the last finished message.
    done: Option<i64>,
    committed: Option<i64>,
}

impl Partition {
    fn new(topic: &str, number: i32) -> Arc<Self> {
        let lost = CancellationToken::new();
        Arc::new(Self {
            topic: topic.to_owned(),
            number,
            lost,
            lane: Mutex::default(),
            rested: Condvar::new(),
        })
    }

    fn lane(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message at the end; true when nobody works on this partition, so that the caller must start somebody, who
    /// says [`Partition::rest`] at the end.
    pub(super) fn push(&self, message: Received) -> bool {
        let mut lane = self.lane();
        lane.first.get_or_insert(message.offset);
        lane.waiting.push_back(message);
        let start = !std::mem::replace(&mut lane.in_work, true);
        lane.workers += usize::from(start);
        start
    }

    /// Whoever was started by a push has ended.
    pub(super) fn rest(&self) {
        let mut lane = self.lane();
        lane.workers = lane.workers.saturating_sub(1);
        self.rested.notify_all();
    }

    /// Blocks until nobody works on this partition; false when somebody still does at the deadline.
    pub(super) fn wait_for_rest(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let (lane, _) = self
            .rested
            .wait_timeout_while(self.lane(), left, |lane| lane.workers > 0)
            .unwrap_or_else(PoisonError::into_inner);
        lane.workers == 0
    }

    /// The next messages, at least one and as many as the limits allow; none ends the work on this partition.
    pub(super) fn next(&self, limits: &BatchLimits) -> Vec<Received> {
        let mut lane = self.lane();
        let mut batch = Vec::new();
        let mut bytes = 0_usize;
        while batch.len() < limits.messages.max(1)
            && let Some(next) = lane.waiting.front()
        {
            bytes = bytes.saturating_add(next.payload.len());
            if bytes > limits.bytes && !batch.is_empty() {
                break;
            }
            batch.extend(lane.waiting.pop_front());
        }
        lane.in_work = !batch.is_empty();
        batch
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> usize {
        self.lane().waiting.len()
    }

    /// True once when more than `limit` messages wait: the caller must pause the partition.
    pub(super) fn must_pause(&self, limit: usize) -> bool {
        let mut lane = self.lane();
        let must = !lane.paused && lane.waiting.len() >= limit;
        lane.paused |= must;
        must
    }

    /// True once when a paused partition has drained to half of `limit`: the caller must resume it.
    pub(super) fn must_resume(&self, limit: usize) -> bool {
        let mut lane = self.lane();
        let must = lane.paused && lane.waiting.len() <= limit / 2;
        lane.paused &= !must;
        must
    }

    /// Everything before `next_offset` is done.
    pub(super) fn mark_done(&self, next_offset: i64) {
        self.lane().done = Some(next_offset);
    }

    pub(super) fn mark_committed(&self, next_offset: i64) {
        self.lane().committed = Some(next_offset);
    }

    /// Whether everything before `next_offset` is committed.
    pub(super) fn is_committed(&self, next_offset: i64) -> bool {
        self.lane().committed >= Some(next_offset)
    }

    /// How many messages before `end_offset` are not committed, where the client cannot say because the group has never
    /// committed anything there: what came first is where it began.
    pub(super) fn lag_before(&self, end_offset: i64) -> i64 {
        let lane = self.lane();
        let reached = lane.committed.or(lane.first);
        reached.map_or(0, |reached| (end_offset - reached).max(0))
    }

    /// The offset to commit, if it is not committed yet.
    pub(super) fn due(&self) -> Option<i64> {
        let lane = self.lane();
        lane.done.filter(|done| lane.committed != Some(*done))
    }

    /// This partition as the client wants to be told.
    pub(super) fn place(&self) -> TopicPartitionList {
        let mut places = TopicPartitionList::new();
        places.add_partition(&self.topic, self.number);
        places
    }
}

/// The partitions that are ours; kept up to date by the client's callbacks.
#[derive(Default)]
pub(super) struct Assignment {
    partitions: Mutex<HashMap<(String, i32), Arc<Partition>>>,
    joined: AtomicBool,
    backlog: Mutex<Backlog>,
}

/// How far a consumer is behind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backlog {
    /// Messages of our partitions that are not committed yet.
    pub(super) messages: u64,
    /// Partitions that are ours.
    pub(super) ours: usize,
    /// Partitions that there are.
    pub(super) all: usize,
}

impl Assignment {
    fn partitions(&self) -> MutexGuard<'_, HashMap<(String, i32), Arc<Partition>>> {
        self.partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, topic: &str, number: i32) -> Option<Arc<Partition>> {
        self.partitions().get(&(topic.to_owned(), number)).cloned()
    }

    /// Whether the group ever gave us an assignment, be it empty.
    pub(super) fn has_joined(&self) -> bool {
        self.joined.load(Ordering::Acquire)
    }

    /// Messages of our partitions that are not committed yet, and our share of all partitions, from 0 to 1.
    pub(super) fn backlog(&self) -> (u64, f64) {
        let backlog = *self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        let share = backlog.ours as f64 / backlog.all.max(1) as f64;
        (backlog.messages, share)
    }

    pub(super) fn note_backlog(&self, backlog: Backlog) {
        *self.backlog.lock().unwrap_or_else(PoisonError::into_inner) = backlog;
    }

    /// Finished work of our partitions that is not committed yet.
    pub(super) fn due(&self) -> Vec<(Arc<Partition>, i64)> {
        let partitions = self.partitions();
        partitions
            .values()
            .filter_map(|partition| Some((partition.clone(), partition.due()?)))
            .collect()
    }

    /// These partitions are ours from now on.
    pub(super) fn gain(&self, places: &TopicPartitionList) {
        let mut partitions = self.partitions();
        for place in places.elements() {
            let key = (place.topic().to_owned(), place.partition());
            let partition = Partition::new(place.topic(), place.partition());
            if let Some(earlier) = partitions.insert(key, partition) {
                earlier.lost.cancel();
            }
        }
        self.joined.store(true, Ordering::Release);
        tracing::info!(
            gained = places.count(),
            ours = partitions.len(),
            "partitions assigned"
        );
    }

    /// These partitions are no longer ours; returns them.
    pub(super) fn lose(&self, places: &TopicPartitionList) -> Vec<Arc<Partition>> {
        let mut partitions = self.partitions();
        let lost: Vec<_> = places
            .elements()
            .iter()
            .filter_map(|place| partitions.remove(&(place.topic().to_owned(), place.partition())))
            .collect();
        for partition in &lost {
            partition.lost.cancel();
        }
        tracing::info!(
            lost = places.count(),
            ours = partitions.len(),
            "partitions revoked"
        );
        lost
    }
}

/// The places and offsets of a commit.
pub(super) fn places(due: &[(Arc<Partition>, i64)]) -> TopicPartitionList {
    let mut places = TopicPartitionList::new();
    for (partition, offset) in due {
        if let Err(error) =
            places.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*offset))
        {
            tracing::error!(%error, offset, "an offset cannot be committed");
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    fn message(offset: i64) -> Received {
        let topic = "t".to_owned();
        Received {
            topic,
            partition: 0,
            offset,
            key: None,
            payload: Vec::new(),
            trace: Trace::start(),
        }
    }

    fn limits(messages: usize, bytes: usize) -> BatchLimits {
        BatchLimits {
            messages,
            bytes,
            linger: std::time::Duration::ZERO,
        }
    }

    fn one_place() -> TopicPartitionList {
        let mut places = TopicPartitionList::new();
        places.add_partition("t", 0);
        places
    }

    #[test]
    fn work_of_a_lost_partition_is_not_due_any_more() {
        let assignment = Assignment::default();
        assignment.gain(&one_place());
        let partition = assignment.find("t", 0).expect("ours");
        partition.mark_done(5);
        assert_eq!(assignment.due().len(), 1);
        assignment.lose(&one_place());
        assert!(partition.lost.is_cancelled());
        assignment.gain(&one_place());
        assert!(
            assignment.due().is_empty(),
            "the new assignment starts afresh"
        );
    }

    #[test]
    fn an_offset_is_due_until_it_is_committed() {
        let assignment = Assignment::default();
        assignment.gain(&one_place());
        let partition = assignment.find("t", 0).expect("ours");
        partition.mark_done(5);
        partition.mark_committed(5);
        assert!(assignment.due().is_empty());
        partition.mark_done(6);
        assert_eq!(assignment.due()[0].1, 6);
    }

    #[test]
    fn one_worker_at_a_time_and_a_full_lane_is_paused_once() {
        let partition = Partition::new("t", 0);
        assert!(partition.push(message(1)), "nobody works yet");
        assert!(!partition.push(message(2)), "somebody works");
        assert!(partition.must_pause(2));
        assert!(!partition.must_pause(2), "paused already");
        let next = || {
            let batch = partition.next(&limits(1, usize::MAX));
            batch.first().map(|message| message.offset)
        };
        assert_eq!(next(), Some(1));
        assert!(partition.must_resume(2));
        assert!(!partition.must_resume(2));
        assert_eq!(next(), Some(2));
        assert_eq!(next(), None);
        assert!(partition.push(message(3)), "the worker ended");
    }

    #[test]
    fn who_waits_for_rest_waits_for_everybody_who_was_started() {
        let partition = Partition::new("t", 0);
        assert!(partition.wait_for_rest(Instant::now()), "nobody works yet");
        partition.push(message(1));
        assert!(partition.next(&limits(9, usize::MAX)).len() == 1);
        assert!(partition.next(&limits(9, usize::MAX)).is_empty());
        assert!(partition.push(message(2)), "the first one is about to end");
        partition.rest();
        assert!(
            !partition.wait_for_rest(Instant::now()),
            "the second one works"
        );
        partition.rest();
        assert!(partition.wait_for_rest(Instant::now()));
    }

    #[test]
    fn a_batch_ends_at_its_limits_and_holds_at_least_one_message() {
        let partition = Partition::new("t", 0);
        for offset in 1..=5 {
            partition.push(Received {
                payload: vec![0; 10],
                ..message(offset)
            });
        }
        let next = |messages, bytes| -> Vec<i64> {
            let batch = partition.next(&limits(messages, bytes));
            batch.iter().map(|message| message.offset).collect()
        };
        assert_eq!(next(2, usize::MAX), [1, 2]);
        assert_eq!(next(10, 20), [3, 4]);
        assert_eq!(next(10, 1), [5], "too large alone, and yet taken");
        assert_eq!(next(10, 1), [0; 0]);
    }
}
