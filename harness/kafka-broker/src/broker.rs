//! The broker as its owner sees it.

use crate::cluster::{Cluster, now_ms, run_timer};
use crate::config::BrokerConfig;
use crate::error::BrokerError;
use crate::events::Events;
use crate::faults::{FaultId, FaultRule};
use crate::listeners::{Address, Listener};
use crate::log::{BatchHeader, RecordHeader, TopicSettings, build_batch};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::DropGuard;

/// A running broker. Clones are the same broker; when the last one is dropped it stops.
#[derive(Clone, Debug)]
pub struct Broker {
    pub(crate) cluster: Arc<Cluster>,
    /// Ends every task when the last clone is gone.
    _stop: Arc<DropGuard>,
}

impl Broker {
    /// Starts a broker without listeners and topics.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(config: BrokerConfig) -> Self {
        let cluster = Arc::new(Cluster::new(config));
        cluster.tasks.spawn(run_timer(cluster.clone()));
        let stop = Arc::new(cluster.stop.clone().drop_guard());
        Self {
            cluster,
            _stop: stop,
        }
    }

    /// Opens a listener on a free loopback port. `advertised` is what its clients are told to connect to: the address
    /// of the proxy in front of it, or `None` for its own; [`Listener::advertise`] changes it later.
    ///
    /// # Errors
    /// The name is taken, the port cannot be bound, or the broker was shut down.
    pub async fn listen(
        &self,
        name: &str,
        advertised: Option<Address>,
    ) -> Result<Listener, BrokerError> {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        self.listen_on(name, anywhere, advertised).await
    }

    /// Opens a listener on a given address; port 0 takes a free one.
    ///
    /// # Errors
    /// As [`Broker::listen`].
    pub async fn listen_on(
        &self,
        name: &str,
        at: SocketAddr,
        advertised: Option<Address>,
    ) -> Result<Listener, BrokerError> {
        let max_connections = self.cluster.config.max_connections;
        let listener = self
            .cluster
            .listeners
            .add(name, at, advertised, max_connections)?;
        listener.bring_up(&self.cluster).await?;
        Ok(listener)
    }

    /// The listeners, in the order of their creation.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listener> {
        self.cluster.listeners.all()
    }

    /// Takes one listener, or with `None` all of them, down or up. Down means: its connections are closed and new ones
    /// are refused by the operating system. Topics, groups and the port stay.
    ///
    /// # Errors
    /// There is no such listener, its port could not be listened on again, or the broker was shut down.
    pub async fn set_down(&self, name: Option<&str>, down: bool) -> Result<(), BrokerError> {
        for listener in self.cluster.listeners.named(name)? {
            if down {
                listener.take_down().await;
            } else {
                listener.bring_up(&self.cluster).await?;
            }
        }
        Ok(())
    }

    /// Closes every listener and connection and ends every task; what was stored can still be read from here.
    pub async fn shutdown(&self) {
        self.cluster.stop.cancel();
        for listener in self.cluster.listeners.all() {
            listener.take_down().await;
        }
        self.cluster.tasks.close();
        self.cluster.tasks.wait().await;
        self.cluster.models().journal.end();
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// Its name is illegal or taken, or the number of partitions is out of range.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), BrokerError> {
        let config = &self.cluster.config;
        let created = self.cluster.change(|models| {
            let settings = TopicSettings::new(config);
            models.topics.create(name, partitions, settings, config)
        });
        created.map_err(|error| BrokerError::CreateTopic {
            topic: name.to_owned(),
            reason: error.to_string(),
        })
    }

    /// Deletes a topic, its records, and what groups have committed of it.
    ///
    /// # Errors
    /// There is no such topic.
    pub fn delete_topic(&self, name: &str) -> Result<(), BrokerError> {
        let deleted = self.cluster.change(|models| models.delete_topic(name));
        deleted.map_err(|_| BrokerError::UnknownTopic(name.to_owned()))
    }

    /// Appends one record without a client, such as a message that no consumer can read, and returns its offset.
    ///
    /// # Errors
    /// There is no such partition, the record is larger than the topic allows, or the broker's memory limit is reached.
    pub fn append(
        &self,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) -> Result<i64, BrokerError> {
        let refused = |reason: String| BrokerError::Append {
            topic: topic.to_owned(),
            partition,
            reason,
        };
        let batch = build_batch(now_ms(), key, value, headers);
        let header = BatchHeader::parse(&batch).map_err(|error| refused(error.to_string()))?;
        let config = &self.cluster.config;
        self.cluster.change(|models| {
            if models.topics.get(topic).is_none() {
                return Err(BrokerError::UnknownTopic(topic.to_owned()));
            }
            if models.topics.partition(topic, partition).is_none() {
                return Err(BrokerError::UnknownPartition {
                    topic: topic.to_owned(),
                    partition,
                });
            }
            let appended = models.append((topic, partition), &batch, &header, config);
            appended
                .map(|appended| appended.base_offset)
                .map_err(|error| refused(error.to_string()))
        })
    }

    /// Deletes the records of a partition before an offset, as an operator would; the partition then starts there.
    ///
    /// # Errors
    /// There is no such partition, or the offset lies behind its end.
    pub fn delete_records(
        &self,
        topic: &str,
        partition: i32,
        before: i64,
    ) -> Result<(), BrokerError> {
        let deleted = self
            .cluster
            .change(|models| models.topics.delete_records(topic, partition, before));
        deleted
            .map(|_| ())
            .map_err(|error| BrokerError::DeleteRecords {
                topic: topic.to_owned(),
                partition,
                reason: error.to_string(),
            })
    }

    /// Sets a topic's setting, such as `max.message.bytes` or `retention.ms`; with `None` the default holds again.
    ///
    /// # Errors
    /// There is no such topic or setting, or it cannot have this value.
    pub fn set_topic_setting(
        &self,
        topic: &str,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), BrokerError> {
        self.cluster.change(|models| {
            let found = models.topics.get(topic);
            let mut settings = found
                .map(|topic| topic.settings.clone())
                .ok_or_else(|| BrokerError::UnknownTopic(topic.to_owned()))?;
            let set = match value {
                Some(value) => settings.set(name, value),
                None => settings.unset(name),
            };
            set.map_err(|error| BrokerError::Setting {
                topic: topic.to_owned(),
                reason: error.to_string(),
            })?;
            let changed = models.topics.change_settings(topic, settings, now_ms());
            changed.map_err(|_| BrokerError::UnknownTopic(topic.to_owned()))
        })
    }

    /// Watches what happens from now on: appends, deliveries, commits, rebalances. At most `capacity` events wait to be
    /// read; of a watcher that is too slow the oldest are dropped, and [`Seen::Dropped`](crate::Seen::Dropped) says so.
    #[must_use]
    pub fn watch_events(&self, capacity: usize) -> Events {
        self.cluster.models().journal.watch(capacity)
    }

    /// Adds a fault rule; earlier rules go first.
    ///
    /// # Errors
    /// The rule's API cannot show its action.
    pub fn add_fault(&self, rule: FaultRule) -> Result<FaultId, BrokerError> {
        self.cluster.faults.add(rule)
    }

    /// Removes a fault rule and returns how often it acted; `None` if it was removed before.
    #[must_use = "a fault that never acted was not felt"]
    pub fn remove_fault(&self, id: FaultId) -> Option<u64> {
        self.cluster.faults.remove(id)
    }

    /// How often a fault rule has acted; `None` if it was removed.
    #[must_use]
    pub fn fault_acted(&self, id: FaultId) -> Option<u64> {
        self.cluster.faults.acted(id)
    }

    /// Waits until `condition` holds, looking again after every change of the broker; `false` if `limit` passes first.
    pub async fn wait_for(
        &self,
        limit: Duration,
        mut condition: impl FnMut(&Self) -> bool,
    ) -> bool {
        let mut changes = self.cluster.watch_changes();
        let met = async {
            while !condition(self) {
                // The sender lives as long as `self`.
                if changes.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(limit, met).await.unwrap_or(false)
    }
}
