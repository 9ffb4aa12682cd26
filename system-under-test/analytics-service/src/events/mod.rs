//! Kafka: order events into the data lake.
//!
//! * [`consume`]: what is consumed, and the work on it.

pub mod consume;

pub use consume::{Keeping, consumption};
