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
    /// Bytes kept in each partition of topics created without `retention.bytes`, oldest batches dropped first; `None`
    /// keeps everything.
    pub retention_bytes: Option<usize>,
    /// How long records are kept in topics created without `retention.ms`, by their own time; `None` keeps everything
    /// (Kafka: 7 days), so that no test loses records to an old timestamp.
    pub retention: Option<Duration>,
    /// Most partitions of all topics together; a topic beyond them is refused with POLICY_VIOLATION.
    pub max_total_partitions: usize,
    /// Most consumer groups; a further one is refused with POLICY_VIOLATION.
    pub max_groups: usize,
    /// Most members of one group (Kafka's `group.max.size`), ids that are yet to join included.
    pub max_group_members: usize,
    /// Most transactional ids; a further one is refused with POLICY_VIOLATION.
    pub max_transactional_ids: usize,
    /// Most bytes of all records together; what would exceed them is refused with KAFKA_STORAGE_ERROR.
    pub max_stored_bytes: usize,
    /// Most bytes of records in one answer to a fetch, but for a single larger batch (Kafka's `fetch.max.bytes`).
    pub max_fetch_bytes: usize,
    /// How long a connection may neither send a request nor take its answer (Kafka's `connections.max.idle.ms`).
    pub max_idle: Duration,
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
            retention: None,
            max_total_partitions: 100_000,
            max_groups: 10_000,
            max_group_members: 10_000,
            max_transactional_ids: 100_000,
            max_stored_bytes: 4 << 30,
            max_fetch_bytes: 55 << 20,
            max_idle: Duration::from_secs(600),
            first_fetch_wait: Duration::from_millis(5),
        }
    }
}
