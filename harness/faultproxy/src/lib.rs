//! A TCP fault proxy that speaks Toxiproxy's HTTP API and understands Kafka frames.
//!
//! One [`FaultProxy`] stands on one link between a client and a server. It passes bytes through unchanged until a
//! [`Toxic`] is added; from then on it delays, discards or cuts, also on connections that were open before. Every
//! toxic counts how often it really *acted*, so that whoever injects a fault can tell whether it was felt.
//!
//! The map, in reading order:
//!
//! * [`toxic`]: what can go wrong on a link, one file a toxic, and the chain of them on one connection.
//! * [`conversation`]: what a connection is saying, as far as the outside can tell: requests, answers, TLS records.
//! * [`kafka`]: Kafka mode: addresses replaced, and rules about single requests.
//! * [`counters`]: what was passed on, cut and swallowed.
//! * [`proxy`]: the listener, the connections and the loops that copy bytes.
//! * [`registry`]: several proxies by name.
//! * [`api`]: Toxiproxy's HTTP API over a registry, and our own additions.
//!
//! Nothing here draws from an unseeded generator, waits without a limit, or buffers without a bound: see [`Limits`].

pub mod api;
mod conversation;
pub mod counters;
mod dice;
pub mod kafka;
pub mod proxy;
pub mod registry;
pub mod toxic;

pub use api::ApiServer;
pub use counters::{KafkaCounts, ProxyCounts, ToxicCounts};
pub use kafka::{
    KafkaAction, KafkaRule, KafkaRuleCounts, KafkaRuleError, KafkaRuleHandle, KafkaSettings,
};
pub use proxy::{FaultProxy, Limits, Mode, ProxyConfig, ProxyError};
pub use registry::Registry;
pub use toxic::{Protocol, Stream, Toxic, ToxicError, ToxicHandle, ToxicKind};
