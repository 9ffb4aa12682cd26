//! What the owner of the broker can be refused.

use std::net::SocketAddr;

/// Why a call on [`Broker`](crate::Broker) was refused.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The listener's address could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A listener of that name exists already.
    #[error("there is a listener named {0:?} already")]
    ListenerExists(String),
    /// There is no listener of that name.
    #[error("there is no listener named {0:?}")]
    UnknownListener(String),
    /// The broker was shut down.
    #[error("the broker was shut down")]
    ShutDown,
    /// The topic could not be created.
    #[error("cannot create topic {topic:?}: {reason}")]
    CreateTopic {
        /// The topic's name.
        topic: String,
        /// Kafka's name of the refusal.
        reason: String,
    },
    /// There is no such topic.
    #[error("there is no topic {0:?}")]
    UnknownTopic(String),
    /// There is no such partition.
    #[error("topic {topic:?} has no partition {partition}")]
    UnknownPartition {
        /// The topic's name.
        topic: String,
        /// The partition that it lacks.
        partition: i32,
    },
    /// An offset lies outside the partition.
    #[error(
        "offset {offset} lies outside {topic:?} partition {partition}, which holds {start}..={end}"
    )]
    OffsetOutOfRange {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset that was asked for.
        offset: i64,
        /// First offset of the partition.
        start: i64,
        /// Offset after the last record.
        end: i64,
    },
    /// The batch at that offset is compressed, which this broker stores but does not read.
    #[error("{topic:?} partition {partition} holds a compressed batch at offset {offset}")]
    Compressed {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: i32,
        /// First offset of the batch.
        offset: i64,
    },
    /// The record could not be appended.
    #[error("cannot append to {topic:?} partition {partition}: {reason}")]
    Append {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: i32,
        /// Kafka's name of the refusal.
        reason: String,
    },
    /// The records could not be deleted.
    #[error("cannot delete records of {topic:?} partition {partition}: {reason}")]
    DeleteRecords {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: i32,
        /// Kafka's name of the refusal.
        reason: String,
    },
    /// The topic's setting could not be changed.
    #[error("cannot change a setting of topic {topic:?}: {reason}")]
    Setting {
        /// The topic's name.
        topic: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The fault rule asks for something that this broker cannot do to requests of that API.
    #[error("a fault rule on {api:?} cannot {action}")]
    UnsupportedFault {
        /// The API of the rule.
        api: kafka_protocol::messages::ApiKey,
        /// The action that it cannot take.
        action: &'static str,
    },
}
