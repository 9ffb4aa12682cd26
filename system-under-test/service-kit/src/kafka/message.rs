//! A received record, and why work on it can fail.

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};

use crate::trace::{TRACEPARENT, Trace};

/// A record of a topic, taken out of the client's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The topic, without prefix.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
    /// The key, if it is text.
    pub key: Option<String>,
    /// The payload; empty when there is none.
    pub payload: Vec<u8>,
    /// The trace that this message continues.
    pub trace: Trace,
}

impl Received {
    pub(super) fn new(message: &BorrowedMessage<'_>, prefix: &str) -> Self {
        let topic = message.topic();
        let headers = message.headers();
        let traceparent = headers.and_then(|headers| {
            headers
                .iter()
                .find(|header| header.key == TRACEPARENT)
                .and_then(|header| header.value)
        });
        Self {
            topic: topic.strip_prefix(prefix).unwrap_or(topic).to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message
                .key()
                .and_then(|key| String::from_utf8(key.to_vec()).ok()),
            payload: message.payload().unwrap_or_default().to_vec(),
            trace: Trace::continued(traceparent.and_then(|bytes| std::str::from_utf8(bytes).ok())),
        }
    }
}

/// Why work on a message did not succeed, and with that what comes next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Something that the work needs is not there (database, queue). The message is not to blame: it is tried again until
    /// that is back, and those behind it wait.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The message may be to blame: it is tried a bounded number of times, then parked.
    #[error("failed: {0}")]
    Failed(String),
    /// The message can never be processed: it is parked at once.
    #[error("cannot be processed: {0}")]
    Unprocessable(String),
}

impl Failure {
    /// The reason, without the kind.
    pub fn reason(&self) -> &str {
        match self {
            Self::Unavailable(reason) | Self::Failed(reason) | Self::Unprocessable(reason) => {
                reason
            }
        }
    }
}
