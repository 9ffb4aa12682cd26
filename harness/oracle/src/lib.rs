//! Histories of drills, and the invariants that judge them.
//!
//! Pure: no I/O, no clock, no randomness, no async runtime.

pub mod record;
