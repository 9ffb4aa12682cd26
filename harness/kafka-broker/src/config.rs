//! Every limit and default of the broker.

use std::time::Duration;

/// Settings of a [`Broker`](crate::Broker). The defaults are Kafka's where tests do not need something quicker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Partitions of a topic whose creator names no number.
    pub default_partitions: i32,
    /// Most partitions that one topic may have.
    pub max_partitions: i32,
    /// Whether a metadata request creates the topics it names.
    pub auto_create_topics: bool,
    /// How long an empty group waits for more members after each join before its first rebalance (Kafka: 3 s).
    pub initial_rebalance_delay: Duration,
    /// Largest record batch, in bytes, of topics created without `max.message.bytes`.
    pub max_message_bytes: usize,
    /// Largest request frame in bytes; a longer one closes its connection.
    pub max_frame_bytes: usize,
    /// Most connections of one listener at a time; further ones are closed at once.
    pub max_connections: usize,
    /// Shortest session timeout that a consumer may ask for (Kafka: 6 s).
    pub min_session_timeout: Duration,
    /// Longest session timeout that a consumer may ask for.
    pub max_session_timeout: Duration,
    /// Longest transaction timeout that a producer may ask for.
    pub max_transaction_timeout: Duration,
    /// Bytes kept in each partition, oldest batches dropped first; `None` keeps everything.
    pub retention_bytes: Option<usize>,
    /// How long the first fetch of a set of partitions waits for data (see the README, "First fetch").
    pub first_fetch_wait: Duration,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            default_partitions: 4,
            max_partitions: 10_000,
            auto_create_topics: true,
            initial_rebalance_delay: Duration::from_millis(100),
            max_message_bytes: 1_048_588,
            max_frame_bytes: 100 << 20,
            max_connections: 10_000,
            min_session_timeout: Duration::from_millis(100),
            max_session_timeout: Duration::from_secs(1800),
            max_transaction_timeout: Duration::from_secs(900),
            retention_bytes: None,
            first_fetch_wait: Duration::from_millis(5),
        }
    }
}
