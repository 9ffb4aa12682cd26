//! The inventory service: takes stock for paid orders, all of an order or nothing, and says which.
//!
//! * [`config`]: its settings.
//! * [`defences`]: its protections, by name.
//! * [`domain`]: what an order wants, and what it gets. Pure.
//! * [`cache`]: the stock as it was last read, with a bounded age.
//! * [`store`]: all SQL.
//! * [`http`]: `GET /stock`.
//! * [`events`]: order events in, answers out.
//! * [`start`]: how the rooms are put together.
//!
//! `http` and `events` do not know each other; `domain` knows nothing of ours.

pub mod cache;
pub mod config;
pub mod defences;
pub mod domain;
pub mod events;
pub mod http;
pub mod store;

mod start;

pub use start::{FAIL_POINTS, MIGRATIONS, NAME, start};
