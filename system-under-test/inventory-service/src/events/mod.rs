//! Kafka: order events in, answers out.
//!
//! * [`consume`]: what is consumed, and the work on it.
//! * [`publish`]: the answers.

pub mod consume;
pub mod publish;

pub use consume::{Orders, consumption};
