//! One execution of one scenario: prepare, start, load, hurt, heal, settle, observe, check, clean up.
//!
//! - [`event`]: what reports are told
//! - `memory`: what instances hold in RAM
//! - [`recorder`]: the journal as it happens
//! - [`ahead`]: pipelines that are started before they are needed
//! - [`run`]: what all drills of a run share
//! - [`settling`]: the wait for the pipeline to come to rest
//! - [`conductor`]: the drill itself

pub mod ahead;
pub mod conductor;
pub mod event;
mod memory;
pub mod recorder;
pub mod run;
pub mod settling;

pub use ahead::Ahead;
pub use conductor::{Arrangement, Drill, DrillError};
pub use event::{DrillResult, Event, EventSink, FeltSoFar, Seconds};
pub use run::{DrillOrder, Run, drill_seed};
