//! firedrill: describe a failure, have it happen to a real pipeline, and read whether every promise held.
//!
//! The modules in reading order; each uses only those above it.

// What people write, read and checked before anything starts.
pub mod catalogue;
pub mod diagnostic;
pub mod document;
pub mod topology;

// The places and the tools.
pub mod mechanism;
pub mod testbed;

// What is done to a system there.
pub mod fault;
pub mod feature;
pub mod profile;

// What is known about this system, what is read from it, and what its customers do.
pub mod system;
pub mod workload;

// One execution, the reports of it, and the ways to start it.
pub mod cli;
pub mod drill;
pub mod prove;
pub mod report;
pub mod steps;
