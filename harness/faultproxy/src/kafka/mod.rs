//! Kafka mode: the proxy reads the frames that pass.
//!
//! * Every address that a broker advertises is replaced by the proxy's own, so that a client can never get around its
//!   link. Where that cannot be done the client is not told that it exists: see [`api_key`].
//! * Rules act on single requests, by API, topic, count and share: see [`KafkaRule`].
//!
//! The protocol is read and written by [`wire`] directly: nothing is allocated for lengths that a frame only claims,
//! and what is not understood is passed on byte by byte. [`session`] follows one connection and does no I/O. Frames
//! that break the protocol close their connection with a log line.
//!
//! Not supported: TLS and SASL between client and broker.

pub(crate) mod address;
#[cfg(test)]
mod agreement;
mod answer;
pub(crate) mod api_key;
mod request;
mod rewrite;
pub(crate) mod rule;
pub(crate) mod rule_set;
pub(crate) mod session;
mod wire;

pub use address::{BadAddress, HostPort, KafkaSettings};
pub use rule::{KafkaAction, KafkaRule, KafkaRuleCounts, KafkaRuleError, KafkaRuleHandle};
