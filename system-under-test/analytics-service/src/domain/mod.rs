//! What is kept of events, and what dashboards say. Pure: no I/O, no clock.
//!
//! * [`admission`]: which messages are events that can be kept.
//! * [`object`]: the objects of the data lake: their names, and the lines that they hold.
//! * [`counting`]: what a kept event counts for, and in which window.
//! * [`coverage`]: which offsets of a partition are there.
//! * [`claim`]: what dashboards say about their own completeness and freshness.

pub mod admission;
pub mod claim;
pub mod counting;
pub mod coverage;
pub mod object;

pub use admission::{Admission, admit};
pub use claim::{Claim, Claims, claim};
pub use counting::{Counted, count};
pub use coverage::Coverage;
pub use object::{Content, Line, ObjectName};
