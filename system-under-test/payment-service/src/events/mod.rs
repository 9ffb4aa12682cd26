//! What comes from the queue and what goes back.
//!
//! * [`commands`]: the work of one payment command
//! * [`results`]: the answers

pub mod commands;
pub mod results;
