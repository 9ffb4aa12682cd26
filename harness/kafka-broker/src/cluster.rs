//! The one lock around topics, groups and transactions, and the timer task that expires what is due.

use crate::config::BrokerConfig;
use crate::events::{EventKind, Journal, Origin};
use crate::faults::Faults;
use crate::groups::Groups;
use crate::listeners::Listeners;
use crate::log::{Appended, BatchHeader, Topics};
use crate::observe::group_members;
use crate::transactions::Transactions;
use kafka_protocol::error::ResponseError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The node's id in every answer.
pub(crate) const NODE_ID: i32 = 1;
/// The cluster's id in every answer.
pub(crate) const CLUSTER_ID: &str = "embedded";

/// The timer looks at retention again after at most an hour: the system's clock may have been set meanwhile.
const LONGEST_SLEEP_MS: u64 = 3_600_000;

/// What the broker knows: everything that a request can read or change.
#[derive(Debug, Default)]
pub(crate) struct Models {
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) journal: Journal,
}

impl Models {
    /// Tells the watchers of an event.
    pub(crate) fn publish(&mut self, kind: impl FnOnce() -> EventKind) {
        self.journal.publish(now_ms, kind);
    }

    /// Appends one checked batch and tells the watchers.
    pub(crate) fn append(
        &mut self,
        to: (&str, i32),
        batch: &[u8],
        header: &BatchHeader,
        config: &BrokerConfig,
    ) -> Result<Appended, ResponseError> {
        let appended = self.topics.append(to, batch, header, now_ms(), config)?;
        self.publish(|| {
            let (topic, partition) = (to.0.to_owned(), to.1);
            let (first_offset, records) = (appended.base_offset, header.record_count);
            if appended.duplicate {
                EventKind::Deduplicated {
                    topic,
                    partition,
                    first_offset,
                    records,
                }
            } else {
                EventKind::Appended {
                    topic,
                    partition,
                    first_offset,
                    records,
                    transactional: header.is_transactional(),
                }
            }
        });
        Ok(appended)
    }

    /// Tells the watchers which groups came into another state or generation.
    fn publish_rebalances(&mut self) {
        for (name, group) in self.groups.iter_mut() {
            let now = (group.state, group.generation);
            if std::mem::replace(&mut group.published, now) != now {
                self.journal.publish(now_ms, || EventKind::Rebalanced {
                    group: name.to_owned(),
                    state: group.state,
                    generation: group.generation,
                    members: group_members(group),
                });
            }
        }
    }

    /// Removes a topic, and what groups have committed of it.
    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<(), ResponseError> {
        self.topics.delete(name)?;
        self.groups.forget_topic(name);
        Ok(())
    }

    fn next_deadline(&self) -> Option<Instant> {
        let groups = self.groups.next_deadline();
        let retention = self.topics.expiry_due_ms().map(|due_ms| {
            let left = u64::try_from(due_ms.saturating_sub(now_ms())).unwrap_or(0);
            Instant::now() + Duration::from_millis(left.min(LONGEST_SLEEP_MS))
        });
        groups
            .into_iter()
            .chain(self.transactions.next_deadline())
            .chain(retention)
            .min()
    }
}

/// The running broker, shared by its owner, its connections and its timer.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) config: BrokerConfig,
    models: Mutex<Models>,
    pub(crate) faults: Faults,
    pub(crate) listeners: Listeners,
    /// Counts every change of the models, so that the owner can wait for one.
    changes: watch::Sender<u64>,
    timer: Notify,
    /// Ends every task of the broker.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Cluster {
    pub(crate) fn new(config: BrokerConfig) -> Self {
        Self {
            config,
            models: Mutex::default(),
            faults: Faults::default(),
            listeners: Listeners::default(),
            changes: watch::Sender::new(0),
            timer: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Looks at the models; a change must go through `change` instead.
    pub(crate) fn models(&self) -> MutexGuard<'_, Models> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the models, tells those who wait for changes, and lets the timer look again.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Models) -> T) -> T {
        self.change_for(|| None, change)
    }

    /// As `change`, on behalf of a client; `origin` is asked only if somebody watches events.
    pub(crate) fn change_for<T>(
        &self,
        origin: impl FnOnce() -> Option<Origin>,
        change: impl FnOnce(&mut Models) -> T,
    ) -> T {
        let (result, earlier) = {
            let mut models = self.models();
            let watched = models.journal.is_watched();
            if watched {
                models.journal.act_for(origin());
            }
            let before = models.next_deadline();
            let result = change(&mut models);
            if watched {
                models.publish_rebalances();
                models.journal.act_for(None);
            }
            let after = models.next_deadline();
            (
                result,
                after.is_some_and(|after| before.is_none_or(|before| after < before)),
            )
        };
        if earlier {
            self.timer.notify_one();
        }
        self.changes.send_modify(|count| *count += 1);
        result
    }

    pub(crate) fn watch_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// Expires members and transactions exactly when they are due; sleeps without end while nothing is.
pub(crate) async fn run_timer(cluster: Arc<Cluster>) {
    loop {
        let next = cluster.models().next_deadline();
        let wait = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = cluster.stop.cancelled() => return,
            () = cluster.timer.notified() => continue,
            () = wait => {}
        }
        cluster.change(|models| {
            let now = Instant::now();
            models.groups.advance(now);
            models.expire_transactions(now);
            models.topics.expire(now_ms());
        });
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
