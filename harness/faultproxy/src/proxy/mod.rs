//! The proxy of one link: its settings, its life, its toxics.

mod connection;
mod listener;
mod pump;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::counters::{Counters, ProxyCounts, ToxicCounters};
use crate::kafka::rule_set::Rules;
use crate::kafka::{KafkaAction, KafkaRule, KafkaRuleError, KafkaRuleHandle, KafkaSettings};
use crate::toxic::set::{Entry, ToxicSet};
use crate::toxic::{Toxic, ToxicError, ToxicHandle, ToxicKind};
use listener::Door;

/// The bounds of one proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once; further ones are reset.
    pub max_connections: usize,
    /// Bytes that one direction of one connection holds back at most, while it delays or the receiver is slow. With a
    /// latency of `l` seconds a connection passes at most `queue_bytes / l` bytes a second.
    pub queue_bytes: usize,
    /// How long a connect to the server may take.
    pub connect_timeout: Duration,
    /// How many removed toxics' (and Kafka rules') counters are kept for reading.
    pub remembered_toxics: usize,
    /// The longest Kafka frame, either way. A connection holds at most one request and one answer of this size.
    pub kafka_frame_bytes: usize,
    /// Kafka requests of one connection that wait for their answer.
    pub kafka_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            queue_bytes: 1 << 20,
            connect_timeout: Duration::from_secs(5),
            remembered_toxics: 256,
            kafka_frame_bytes: 100 << 20,
            kafka_in_flight: 65_536,
        }
    }
}

/// What a proxy understands of what passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mode {
    /// Bytes.
    #[default]
    Tcp,
    /// Kafka's frames: addresses are replaced, and rules act on requests.
    Kafka(KafkaSettings),
}

/// What a proxy is started with.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// Its name, for logs and the API.
    pub name: String,
    /// Where it listens; port 0 for a free one.
    pub listen: SocketAddr,
    /// The server behind it, `host:port`; resolved for every connection.
    pub upstream: String,
    /// What it understands of what passes.
    pub mode: Mode,
    /// The seed of everything its toxics and rules draw.
    pub seed: u64,
    /// False to start it disabled.
    pub enabled: bool,
    /// Its bounds.
    pub limits: Limits,
}

impl ProxyConfig {
    /// An enabled proxy on a free loopback port.
    pub fn new(name: impl Into<String>, upstream: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            upstream: upstream.into(),
            mode: Mode::Tcp,
            seed: 0,
            enabled: true,
            limits: Limits::default(),
        }
    }
}

/// Why a proxy does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The proxy was shut down for good.
    #[error("the proxy is shut down")]
    ShutDown,
}

/// What all connections of a proxy share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) limits: Limits,
    pub(crate) upstream: Mutex<String>,
    pub(crate) toxics: watch::Sender<ToxicSet>,
    pub(crate) counters: Counters,
    pub(crate) mode: Mode,
    pub(crate) rules: Arc<Rules>,
    /// The counters of removed toxics by name, with the order in which they went.
    removed: Mutex<Vec<(String, Arc<ToxicCounters>)>>,
}

/// A TCP proxy on one link. Dropping it cuts its connections; [`shutdown`](Self::shutdown) also waits for their end.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    door: tokio::sync::Mutex<Door>,
    address: Mutex<SocketAddr>,
    enabled: watch::Sender<bool>,
}

impl FaultProxy {
    /// Starts a proxy. When this returns, connects succeed (or are refused, if it starts disabled).
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(config: ProxyConfig) -> Result<Arc<Self>, ProxyError> {
        let shared = Arc::new(Shared {
            name: config.name,
            seed: config.seed,
            limits: config.limits,
            upstream: Mutex::new(config.upstream),
            toxics: watch::Sender::new(ToxicSet::default()),
            counters: Counters::default(),
            mode: config.mode,
            rules: Arc::default(),
            removed: Mutex::new(Vec::new()),
        });
        let (mut door, address) = Door::reserve(config.listen)?;
        if config.enabled {
            door.open(&shared)?;
        }
        Ok(Arc::new(Self {
            shared,
            door: tokio::sync::Mutex::new(door),
            address: Mutex::new(address),
            enabled: watch::Sender::new(config.enabled),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where it listens, or would if it were enabled.
    pub fn address(&self) -> SocketAddr {
        *locked(&self.address)
    }

    /// The server behind it.
    pub fn upstream(&self) -> String {
        locked(&self.shared.upstream).clone()
    }

    /// Puts another server behind it, for connections made from now on.
    pub fn set_upstream(&self, upstream: impl Into<String>) {
        *locked(&self.shared.upstream) = upstream.into();
    }

    /// True while it listens.
    pub fn is_enabled(&self) -> bool {
        *self.enabled.borrow()
    }

    /// Opens or closes it, and returns when that is done. Closed means: connects are refused, and every connection that
    /// was open is cut. The port stays reserved, so that nobody else gets it meanwhile.
    ///
    /// # Errors
    /// The port cannot be listened on again, or the proxy was shut down.
    pub async fn set_enabled(&self, enabled: bool) -> Result<(), ProxyError> {
        let mut door = self.door.lock().await;
        match enabled {
            true => door.open(&self.shared)?,
            false => door.close(&self.shared).await?,
        }
        self.enabled.send_replace(enabled);
        Ok(())
    }

    /// Moves it to another address; open connections are cut. It stays enabled or disabled as it was.
    ///
    /// # Errors
    /// The address cannot be listened on: it stays disabled on the old one.
    pub async fn set_listen(&self, listen: SocketAddr) -> Result<(), ProxyError> {
        let mut door = self.door.lock().await;
        door.close(&self.shared).await?;
        let was_enabled = self.enabled.send_replace(false);
        let (mut new, address) = Door::reserve(listen)?;
        if was_enabled {
            new.open(&self.shared)?;
            self.enabled.send_replace(true);
        }
        *door = new;
        *locked(&self.address) = address;
        Ok(())
    }

    /// Ends it for good: when this returns no task and no socket of it is left.
    pub async fn shutdown(&self) {
        self.door.lock().await.shut(&self.shared).await;
        self.enabled.send_replace(false);
    }

    /// Adds a toxic. Everything that arrives after this returns meets it, on open connections too.
    ///
    /// # Errors
    /// The name is taken, or a parameter has no meaning.
    pub fn add_toxic(&self, toxic: Toxic) -> Result<ToxicHandle, ToxicError> {
        let name = toxic.name.clone();
        let handle = self.change(|set| set.add(toxic))?;
        locked(&self.shared.removed).retain(|(removed, _)| *removed != name);
        Ok(handle)
    }

    /// Changes a toxic's parameters and share of connections. On open connections it starts anew; its counters go on.
    ///
    /// # Errors
    /// There is none of that name, or a parameter has no meaning.
    pub fn update_toxic(
        &self,
        name: &str,
        kind: ToxicKind,
        toxicity: f64,
    ) -> Result<Toxic, ToxicError> {
        self.change(|set| set.update(name, kind, toxicity))
    }

    /// Removes a toxic: what it held back goes on at once, and the connections that it left a hole in are closed.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn remove_toxic(&self, name: &str) -> Result<(), ToxicError> {
        let entry = self.change(|set| set.remove(name))?;
        self.remember(vec![entry]);
        Ok(())
    }

    /// Removes all toxics.
    pub fn remove_toxics(&self) {
        let mut gone = Vec::new();
        self.shared.toxics.send_modify(|set| gone = set.clear());
        self.remember(gone);
    }

    /// The toxics in force, in the order in which they were added.
    pub fn toxics(&self) -> Vec<Toxic> {
        self.shared
            .toxics
            .borrow()
            .entries
            .iter()
            .map(|entry| entry.toxic.clone())
            .collect()
    }

    /// The toxic of that name.
    pub fn toxic(&self, name: &str) -> Option<Toxic> {
        self.shared
            .toxics
            .borrow()
            .find(name)
            .map(|entry| entry.toxic.clone())
    }

    /// What was passed on, cut and swallowed so far.
    pub fn counters(&self) -> ProxyCounts {
        let counters = &self.shared.counters;
        let mut toxics: BTreeMap<_, _> = locked(&self.shared.removed)
            .iter()
            .map(|(name, counts)| (name.clone(), counts.snapshot()))
            .collect();
        let set = self.shared.toxics.borrow();
        toxics.extend(
            set.entries
                .iter()
                .map(|entry| (entry.toxic.name.clone(), entry.counters.snapshot())),
        );
        ProxyCounts {
            accepted: counters.accepted.get(),
            open: counters.open.get(),
            refused: counters.refused.get(),
            upstream_failures: counters.upstream_failures.get(),
            cut_by_down: counters.cut_by_down.get(),
            handshakes_finished: counters.handshakes_finished.get(),
            handshakes_refused: counters.handshakes_refused.get(),
            upstream_bytes: counters.upstream_bytes.get(),
            downstream_bytes: counters.downstream_bytes.get(),
            toxics,
            kafka: matches!(self.shared.mode, Mode::Kafka(_)).then(|| self.shared.rules.counts()),
        }
    }

    /// Adds a rule about Kafka requests. Every request that is complete after this returns meets it.
    ///
    /// # Errors
    /// The proxy is not in Kafka mode, the name is taken, or the rule has no meaning.
    pub fn add_kafka_rule(&self, rule: KafkaRule) -> Result<KafkaRuleHandle, KafkaRuleError> {
        match self.shared.mode {
            Mode::Tcp => Err(KafkaRuleError::NotKafka),
            Mode::Kafka(_) => self.shared.rules.add(rule),
        }
    }

    /// Removes a rule, also for requests whose answer is still to come; delayed answers go on at once.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn remove_kafka_rule(&self, name: &str) -> Result<(), KafkaRuleError> {
        let entry = self
            .shared
            .rules
            .remove(name, self.shared.limits.remembered_toxics)?;
        if matches!(entry.rule.action, KafkaAction::Delay { .. }) {
            self.shared.toxics.send_modify(ToxicSet::release);
        }
        Ok(())
    }

    /// Removes all Kafka rules.
    pub fn remove_kafka_rules(&self) {
        for rule in self.kafka_rules() {
            // Gone meanwhile is gone as well.
            let _gone = self.remove_kafka_rule(&rule.name);
        }
    }

    /// The Kafka rules in force, in the order in which they were added.
    pub fn kafka_rules(&self) -> Vec<KafkaRule> {
        self.shared.rules.rules()
    }

    /// What it understands of what passes.
    pub fn mode(&self) -> &Mode {
        &self.shared.mode
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut ToxicSet) -> Result<T, ToxicError>,
    ) -> Result<T, ToxicError> {
        let mut result = Err(ToxicError::NotFound);
        self.shared.toxics.send_if_modified(|set| {
            result = change(set);
            result.is_ok()
        });
        result
    }

    fn remember(&self, entries: Vec<Arc<Entry>>) {
        let mut removed = locked(&self.shared.removed);
        for entry in entries {
            removed.retain(|(name, _)| *name != entry.toxic.name);
            removed.push((entry.toxic.name.clone(), Arc::clone(&entry.counters)));
        }
        let too_many = removed
            .len()
            .saturating_sub(self.shared.limits.remembered_toxics);
        removed.drain(..too_many);
    }
}

/// What a lock guards stays usable after a panic elsewhere: every change under these locks is one assignment.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
