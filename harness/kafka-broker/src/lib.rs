//! An embedded single-node Kafka broker for tests.

/// The broker.
pub struct Broker;
