//! The order service: takes orders, keeps their state, publishes what happened.
//!
//! * [`config`]: its settings.
//! * [`defences`]: its protections, by name.
//! * [`domain`]: states of an order, what moves it on, and what is said about it. Pure.
//! * [`store`]: all SQL: placing, moving on, giving up, outbox, reading.
//! * [`copies`]: orders as they were last read, for whoever only looks.
//! * [`intake`]: how much is taken in.
//! * [`http`]: the API.
//! * [`events`]: the relay from the outbox to Kafka, and the consumer of what payment and inventory answer.
//! * [`start`]: how the rooms are put together.
//!
//! `http` and `events` do not know each other; `domain` knows nothing of ours.

pub mod config;
pub mod copies;
pub mod defences;
pub mod domain;
pub mod events;
pub mod http;
pub mod intake;
pub mod store;

mod start;

pub use start::{FAIL_POINTS, MIGRATIONS, NAME, start};
