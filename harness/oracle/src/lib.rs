//! Histories of drills, and the promises that judge them.
//!
//! A drill writes a journal of records; the oracle takes them in as a history, joins what the services and the outside
//! world know about each order, checks every promise, and gives one verdict with the evidence for it. Pure: no I/O, no
//! clock, no randomness, no async runtime, so that a recorded run is judged again with the same result.
//!
//! In reading order:
//!
//! * [`record`]: what a journal holds, one record a line.
//! * [`journal`]: reading those lines.
//! * [`history`]: the records taken in and kept compactly.
//! * [`join`]: the facts brought together by order, purchase, charge, product and message.
//! * [`verdict`]: what a check says, and the evidence it gives.
//! * [`lifecycle`]: the states of an order and the legal changes between them.
//! * [`invariant`]: the promises that are checked after every drill, one file each.
//! * [`memory`]: what instances held in RAM while customers ordered.
//! * `expectation`: the promises of one scenario.
//! * [`story`]: the life of one order as lines of text.
//! * [`drill_verdict`]: the verdict of a drill, precedence, exit codes.
//! * [`judgement`]: all of it applied to one history.

pub mod drill_verdict;
mod expectation;
pub mod history;
pub mod invariant;
pub mod join;
pub mod journal;
pub mod judgement;
pub mod lifecycle;
pub mod memory;
mod names;
pub mod record;
mod row;
pub mod story;
pub mod verdict;

pub use drill_verdict::DrillVerdict;
pub use history::History;
pub use invariant::Invariant;
pub use join::Joined;
pub use journal::{JournalError, LineError, parse_line};
pub use judgement::{Checked, Felt, Finding, Judgement, OrderCounts, Reason, judge};
pub use memory::MemoryUse;
pub use record::{Expectation, Fact, FactKind, Record};
pub use verdict::{Evidence, Verdict};
