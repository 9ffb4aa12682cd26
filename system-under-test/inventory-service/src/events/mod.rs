//! Kafka: order events in, answers out.
//!
//! * [`consume`]: what is consumed, and the work on it.
//! * [`changes`]: what every instance hears about the stock that it shows.
//! * [`publish`]: the answers.

pub mod changes;
pub mod consume;
pub mod publish;

pub use changes::Changes;
pub use consume::{Orders, consumption};
