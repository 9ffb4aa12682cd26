//! firedrill: describe a failure, have it happen to a real pipeline, and read whether every promise held.
//!
//! The modules in reading order; each uses only those above it.

pub mod diagnostic;
pub mod document;
pub mod topology;

pub mod profile;
pub mod testbed;
