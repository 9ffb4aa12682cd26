//! What happened in the broker, as it happens, for whoever keeps a ledger of it.
//!
//! Each watcher has a queue of its own with a limit. A watcher that falls behind loses the oldest events, and is told
//! at that place how many: a ledger with a hole knows of the hole.

use crate::groups::GroupState;
use crate::observe::GroupMember;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// Who caused it; `None` for the broker's owner and its timers.
    pub origin: Option<Origin>,
    /// What it was.
    pub kind: EventKind,
}

/// The client that caused an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The listener that it is connected to.
    pub listener: String,
    /// Its `client.id`.
    pub client_id: String,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A batch of records was appended.
    Appended {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Offset of the first record.
        first_offset: i64,
        /// Number of records.
        records: i32,
        /// Whether they belong to a transaction, which may yet be aborted.
        transactional: bool,
    },
    /// An idempotent producer sent a batch again that was there already; nothing was appended.
    Deduplicated {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Offset at which its first record was appended before.
        first_offset: i64,
        /// Number of records.
        records: i32,
    },
    /// An answer with records was handed to a consumer's connection.
    Delivered {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset that was asked for.
        first_offset: i64,
        /// Offset after the last record of the answer.
        end_offset: i64,
    },
    /// A group's offset was committed or reset.
    Committed {
        /// The consumer group.
        group: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset: that of the next record to be consumed.
        offset: i64,
    },
    /// A group came into another state or generation.
    Rebalanced {
        /// The consumer group.
        group: String,
        /// Its state now.
        state: GroupState,
        /// Its generation now.
        generation: i32,
        /// Its members, with what each was assigned.
        members: Vec<GroupMember>,
    },
}

/// What a watcher sees next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An event.
    Event(Event),
    /// So many events are missing here, because the watcher did not read them in time.
    Dropped(u64),
}

/// The events of a broker since this watcher began, in the order in which they happened.
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    capacity: usize,
    state: Mutex<QueueState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    events: VecDeque<Event>,
    dropped: u64,
    /// The broker will send nothing more.
    ended: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: Event) {
        let mut state = self.lock();
        if state.events.len() >= self.capacity {
            state.events.pop_front();
            state.dropped += 1;
        }
        state.events.push_back(event);
        drop(state);
        self.changed.notify_one();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }
}

impl Events {
    /// The next event, or how many are missing before it; `None` once the broker was shut down and all was read.
    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            if let Some(seen) = self.try_next() {
                return Some(seen);
            }
            if self.queue.lock().ended {
                // What was pushed between the two looks is not lost.
                return self.try_next();
            }
            self.queue.changed.notified().await;
        }
    }

    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Option<Seen> {
        let mut state = self.queue.lock();
        match std::mem::take(&mut state.dropped) {
            0 => state.events.pop_front().map(Seen::Event),
            dropped => Some(Seen::Dropped(dropped)),
        }
    }
}

/// The watchers, and on whose behalf the broker acts at the moment.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    watchers: Vec<Arc<Queue>>,
    origin: Option<Origin>,
    ended: bool,
}

impl Journal {
    /// A further watcher, which keeps at most `capacity` unread events.
    pub(crate) fn watch(&mut self, capacity: usize) -> Events {
        let queue = Arc::new(Queue {
            capacity: capacity.max(1),
            state: Mutex::default(),
            changed: Notify::new(),
        });
        if self.ended {
            queue.end();
        } else {
            self.watchers.push(queue.clone());
        }
        Events { queue }
    }

    /// Whether anybody watches; forgets those who are gone.
    pub(crate) fn is_watched(&mut self) -> bool {
        self.watchers.retain(|queue| Arc::strong_count(queue) > 1);
        !self.watchers.is_empty()
    }

    /// Says on whose behalf the broker acts from now on.
    pub(crate) fn act_for(&mut self, origin: Option<Origin>) {
        self.origin = origin;
    }

    /// Tells every watcher; the event is made only if there is one.
    pub(crate) fn publish(
        &mut self,
        at_ms: impl FnOnce() -> i64,
        kind: impl FnOnce() -> EventKind,
    ) {
        if self.watchers.is_empty() {
            return;
        }
        let event = Event {
            at_ms: at_ms(),
            origin: self.origin.clone(),
            kind: kind(),
        };
        for queue in &self.watchers {
            queue.push(event.clone());
        }
    }

    /// Ends every watcher's stream.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        for queue in self.watchers.drain(..) {
            queue.end();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end();
    }
}
