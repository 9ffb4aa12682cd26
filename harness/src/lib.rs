//! firedrill: describe a failure, have it happen to a real pipeline, and read whether every promise held.
//!
//! The modules in reading order; each uses only those above it.

pub mod catalogue;
pub mod diagnostic;
pub mod document;
pub mod feature;
pub mod testbed;
pub mod topology;

pub mod mechanism;

pub mod fault;

pub mod profile;

pub mod system;
