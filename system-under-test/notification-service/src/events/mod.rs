//! Kafka: order events in, messages to customers out.
//!
//! * [`read`]: what an event's payload must be.
//! * [`consume`]: what is consumed, and the work on it.

pub mod consume;
pub mod read;

pub use consume::{AFTER_RECORD, AFTER_SEND, BEFORE_SEND, Orders, consumption};
