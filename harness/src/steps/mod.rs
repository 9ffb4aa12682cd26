//! The Gherkin vocabulary: every step is a few lines that call one phase of the drill.
//!
//! - [`world`]: what a scenario holds while it runs
//! - [`given`], [`when`], [`then`]: the steps
//! - [`vocabulary`]: what each step means, for `firedrill list steps` and for the check before anything starts
//! - [`rehearsal`]: what scenarios are going to ask for
//! - [`engine`]: cucumber, fed with the drills of a run
//!
//! A step never asserts: a promise that a scenario adds is written to the journal and judged with the others.

pub mod engine;
mod given;
pub mod rehearsal;
mod then;
pub mod vocabulary;
mod when;
pub mod world;

pub use engine::run_drills;
pub use vocabulary::{STEPS, StepDocument};
