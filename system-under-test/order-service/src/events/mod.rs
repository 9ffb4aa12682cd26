//! Kafka: what goes out and what comes in.
//!
//! * [`relay`]: from the outbox to Kafka.
//! * [`consume`]: answers of payment and inventory.

pub mod consume;
pub mod relay;
