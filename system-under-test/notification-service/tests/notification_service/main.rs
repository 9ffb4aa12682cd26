//! The notification service at its public surface: a real PostgreSQL, the broker of the local testbed, and the message
//! provider of the external world.

mod schema;
mod support;
mod telling;
