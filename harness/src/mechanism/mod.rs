//! The tools that hurt: one typed client for each.
//!
//! A client says what it did, reads back whether it is in force, and fails with what failed, where, and what to do.
//! None of them falls back to something else: a tool that is not there is an error.

pub mod broker;
pub mod deadlock;
mod error;
pub mod external_scripts;
pub mod fail_points;
mod http;
pub mod kafka;
pub mod postgres;
pub mod refused_logins;
pub mod signals;
pub mod signing_keys;
pub mod tls;
pub mod toxiproxy;
pub mod webdriver;

pub use error::MechanismError;
