//! The analytics service: keeps order events in a data lake, and builds dashboards from it.
//!
//! One program in two roles that are started, scaled and killed on their own. The role that keeps consumes order events
//! and writes them as objects; it also serves the dashboards. The role `batch` reads the lake and builds the dashboards.
//!
//! * [`config`]: its settings.
//! * [`defences`]: its protections, by name.
//! * [`domain`]: what is kept of events, and what dashboards say. Pure.
//! * [`lake`]: every request to the object store.
//! * [`batch`]: from the lake to the dashboards.
//! * [`store`]: all SQL.
//! * [`http`]: `GET /dashboards`, and a page.
//! * [`events`]: order events in.
//! * [`start`]: how the rooms are put together.
//!
//! `http`, `events` and `batch` do not know each other; `domain` knows nothing of ours.

pub mod batch;
pub mod config;
pub mod defences;
pub mod domain;
pub mod events;
pub mod http;
pub mod lake;
pub mod store;

mod start;

pub use start::{DASHBOARDS_GROUP, FAIL_POINTS, MIGRATIONS, NAME, start_batch, start_keeping};
