//! firedrill: describe a failure, have it happen to a real pipeline, and read whether every promise held.
//!
//! The modules in reading order; each uses only those above it. The lines between them keep the formatter from sorting.

// The 104 failures by id.
pub mod catalogue;

// Lines for whoever reads along, and nobody has to.
pub mod terminal;

// A complaint about something a person wrote: what is wrong, where, and what to do.
pub mod diagnostic;

// A TOML file that tells all its mistakes at once.
pub mod document;

// The system as data: components, links, replicas, probes, settings, defences.
pub mod topology;

// Where the system runs; each drill gets a pipeline of its own.
pub mod testbed;

// One typed client for each tool that hurts.
pub mod mechanism;

// The kinds of fault, one file each: inject, felt, heal.
pub mod fault;

// Faults with a name and a reason, one file each.
pub mod profile;

// Feature files: read, checked in every way that needs nothing running, and selected.
pub mod feature;

// What is known about this system: where facts are read, what is outstanding, how products get in place.
pub mod system;

// What customers do: seeded intents, a pace, a client that knows three outcomes.
pub mod workload;

// One execution of one scenario, from prepare to clean up.
pub mod drill;

// A scenario must fail without each of its defences.
pub mod prove;

// For people and machines; reports listen and read, nothing else.
pub mod report;

// The Gherkin vocabulary, and cucumber behind our own main.
pub mod steps;

// The command.
pub mod cli;
