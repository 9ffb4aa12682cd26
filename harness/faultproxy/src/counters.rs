//! What a proxy passed on, cut and swallowed: live counters and their snapshots.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

pub use crate::kafka::rule_set::KafkaCounts;

/// A counter that is only ever added to, or used as a gauge by pairs of add and subtract.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The live counters of a proxy's connections.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: Count,
    pub(crate) open: Count,
    pub(crate) refused: Count,
    pub(crate) upstream_failures: Count,
    pub(crate) cut_by_down: Count,
    pub(crate) handshakes_finished: Count,
    pub(crate) handshakes_refused: Count,
    pub(crate) upstream_bytes: Count,
    pub(crate) downstream_bytes: Count,
}

/// What one toxic has done so far. All counts are of effects that really happened, never of intentions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToxicCounts {
    /// How often it acted: pieces of data delayed or discarded, connections cut.
    pub acted: u64,
    /// Pieces of data delivered late.
    pub delayed: u64,
    /// Bytes that were swallowed.
    pub discarded_bytes: u64,
    /// Connections it cut.
    pub connections_cut: u64,
    /// Connections on which an answer was lost: the client's data had gone through to the server before, and the
    /// toxic then swallowed or cut off what came back. Handshakes of TLS are not counted as data.
    pub answers_lost: u64,
}

/// The live form of [`ToxicCounts`].
#[derive(Debug, Default)]
pub(crate) struct ToxicCounters {
    pub(crate) acted: Count,
    pub(crate) delayed: Count,
    pub(crate) discarded_bytes: Count,
    pub(crate) connections_cut: Count,
    pub(crate) answers_lost: Count,
}

impl ToxicCounters {
    pub(crate) fn snapshot(&self) -> ToxicCounts {
        ToxicCounts {
            acted: self.acted.get(),
            delayed: self.delayed.get(),
            discarded_bytes: self.discarded_bytes.get(),
            connections_cut: self.connections_cut.get(),
            answers_lost: self.answers_lost.get(),
        }
    }
}

/// A snapshot of everything a proxy counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyCounts {
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Connections open now.
    pub open: u64,
    /// Connections reset at once because [`Limits::max_connections`](crate::Limits::max_connections) were open.
    pub refused: u64,
    /// Connections reset because the server could not be reached.
    pub upstream_failures: u64,
    /// Open connections cut by disabling the proxy. Connects refused while it is disabled are refused by the
    /// operating system and cannot be counted here.
    pub cut_by_down: u64,
    /// TLS connections whose client believed what the server had shown, and went on.
    #[serde(default)]
    pub handshakes_finished: u64,
    /// TLS connections whose client answered what the server had shown with an alert, the reason being its own.
    #[serde(default)]
    pub handshakes_refused: u64,
    /// Bytes written to servers.
    pub upstream_bytes: u64,
    /// Bytes written to clients.
    pub downstream_bytes: u64,
    /// By the toxic's name: those in force, and those that were removed (until the name is used again).
    pub toxics: BTreeMap<String, ToxicCounts>,
    /// What Kafka mode counted; `None` on proxies that do not read frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaCounts>,
}
