//! The batch: takes new objects of the data lake into the database and builds the dashboards anew.
//!
//! * [`job`]: one batch after the other.
//! * [`taken`]: what was taken in before.

pub mod job;
pub mod taken;

pub use job::Job;
