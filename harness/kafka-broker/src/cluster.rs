//! The one lock around topics, groups and transactions, and the timer task that expires what is due.

use crate::config::BrokerConfig;
use crate::faults::Faults;
use crate::groups::Groups;
use crate::listeners::Listeners;
use crate::log::Topics;
use crate::transactions::Transactions;
use kafka_protocol::error::ResponseError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The node's id in every answer.
pub(crate) const NODE_ID: i32 = 1;
/// The cluster's id in every answer.
pub(crate) const CLUSTER_ID: &str = "embedded";

/// What the broker knows: everything that a request can read or change.
#[derive(Debug, Default)]
pub(crate) struct Models {
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
}

impl Models {
    /// Removes a topic, and what groups have committed of it.
    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<(), ResponseError> {
        self.topics.delete(name)?;
        self.groups.forget_topic(name);
        Ok(())
    }

    fn next_deadline(&self) -> Option<Instant> {
        let groups = self.groups.next_deadline();
        groups
            .into_iter()
            .chain(self.transactions.next_deadline())
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
        let (result, earlier) = {
            let mut models = self.models();
            let before = models.next_deadline();
            let result = change(&mut models);
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
