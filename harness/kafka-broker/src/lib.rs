//! An embedded single-node Kafka broker for tests: one process, memory only, loopback by default.
//!
//! It speaks the Kafka protocol to ordinary clients and gives the test that owns it what a real broker does not:
//! a listener per service with its own advertised address, listeners that can be taken down and brought back, fault
//! rules on single requests, exact lag, offset resets, and a way to wait for a state instead of sleeping.
//! It is a test double, never a product: nothing is written to disk, there is one node, and no TLS, SASL or ACLs.
//!
//! The modules, in reading order:
//! * `config`: every limit and default, in one struct.
//! * `broker`: [`Broker`], what the owner of the broker calls; `observe` is its reading half.
//! * `listeners` and `connection`: sockets, one task per connection, down and up.
//! * `protocol`: which APIs and versions are spoken, frames, and the check that keeps hostile frames from the decoder.
//! * `api`: one function per request, which translates between the protocol and the three models below.
//! * `log`: topics, partitions, batches, idempotent producers, aborted transactions.
//! * `groups`: consumer groups with Kafka's rebalance rules, and their offsets.
//! * `transactions`: transactional producers, fencing, commit and abort.
//! * `cluster`: the one lock around the models, and the timer that expires members and transactions.
//! * `events`: what happened, told to whoever watches, in order and with a limit.
//! * `faults`: rules that hurt single requests, and how often each has acted.

mod api;
mod broker;
mod cluster;
mod config;
mod connection;
mod error;
mod events;
mod faults;
mod groups;
mod listeners;
mod log;
mod observe;
mod protocol;
mod transactions;

pub use broker::Broker;
pub use config::BrokerConfig;
pub use error::BrokerError;
pub use events::{Event, EventKind, Events, Origin, Seen};
pub use faults::{FaultAction, FaultId, FaultRule};
pub use groups::GroupState;
pub use kafka_protocol::messages::ApiKey;
pub use listeners::{Address, Listener};
pub use log::{Record, RecordHeader};
pub use observe::{GroupMember, GroupProgress, GroupSummary, OffsetReset, PartitionOffsets};
