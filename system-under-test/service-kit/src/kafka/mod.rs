//! Kafka: a producer whose acknowledgements are awaited, and a consumer that commits after the work.
//!
//! * [`settings`]: every timeout of the client, as a setting.
//! * [`producer`]: records in, acknowledgements out.
//! * [`message`]: a received record, and why work on it can fail.
//! * [`consumer`]: what is consumed, and with which protections.
//! * [`batch`]: messages of one partition taken together.
//! * [`bookmark`]: how far something that is no member of a group has read a topic.
//! * [`listening`]: a topic that every instance hears in full from now on.
//! * `assignment`: which partitions are ours and how far each is done.
//! * `group`: the member as the client sees it: what it is told of rebalances, and how it hands partitions over.
//! * `commit`: offsets of finished work, committed together.
//! * `reception`: the loop: partitions side by side, messages of one partition one after the other, polling while it
//!   works, parking what cannot be processed.
//! * `delivery`: the client behind the producer, and the thread that hears what became of its records.

mod assignment;
pub mod batch;
pub mod bookmark;
mod commit;
pub mod consumer;
mod delivery;
mod group;
pub mod listening;
pub mod message;
pub mod producer;
mod reception;
pub mod settings;

pub use batch::{BatchLimits, BatchWork, Refused};
pub use bookmark::{Bookmark, BookmarkError, Bounds};
pub use consumer::{Consumer, Consumption, Work, consume, consume_batches};
pub use listening::{Hear, Listener, listen};
pub use message::{Failure, Received};
pub use producer::{Acknowledgement, Outgoing, Placed, ProduceError, Producer};
pub use settings::KafkaSettings;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// Routes what librdkafka says into our log. A dead broker makes it say a lot, so it speaks at `debug`.
#[derive(Debug, Clone, Copy, Default)]
pub struct QuietClient;

impl ClientContext for QuietClient {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for QuietClient {}
