//! The notification service: tells customers what became of their orders, once for each order, kind and channel, and never
//! that an order is paid before it is.
//!
//! * [`config`]: its settings.
//! * [`defences`]: its protections, by name.
//! * [`domain`]: who is told what, over which channel. Pure.
//! * [`templates`]: the texts, by version, kind and channel. Pure.
//! * [`store`]: all SQL.
//! * [`provider`]: the message provider and what stands between us and it.
//! * [`events`]: order events in, messages out.
//! * [`start`]: how the rooms are put together.
//!
//! `events` and `provider` meet only in the work on an event; `domain` knows nothing of ours.

pub mod config;
pub mod defences;
pub mod domain;
pub mod events;
pub mod provider;
pub mod store;
pub mod templates;

mod start;

pub use start::{FAIL_POINTS, MIGRATIONS, NAME, start};
