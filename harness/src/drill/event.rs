//! What reports are told while a run goes on. Reports only listen; they never call the drill.

use std::{path::PathBuf, sync::Arc};

use firedrill_oracle::Judgement;
use serde::Serialize;

use super::run::DrillOrder;

/// Something that happened in a run.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// How many drills it has.
        drills: usize,
        /// The run's seed.
        seed: u64,
        /// Name of the testbed.
        testbed: String,
        /// Folder of the run.
        folder: PathBuf,
    },
    /// A drill begins.
    DrillStarted {
        /// What is drilled.
        order: Arc<DrillOrder>,
    },
    /// Where a drill stands; sent several times a second.
    Progress {
        /// Which drill.
        index: usize,
        /// Its phase.
        phase: &'static str,
        /// Attempts of customers so far.
        attempted: u64,
        /// Accepted orders so far.
        accepted: u64,
        /// The faults so far.
        felt: Vec<FeltSoFar>,
    },
    /// A drill has ended and was judged.
    DrillFinished {
        /// What came of it.
        result: Arc<DrillResult>,
    },
}

/// Takes events; must return quickly.
pub type EventSink = Arc<dyn Fn(&Event) + Send + Sync>;

/// How often a fault has been felt so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeltSoFar {
    /// The profile.
    pub fault: String,
    /// How often.
    pub count: u64,
    /// How often it must be.
    pub at_least: u64,
}

/// Where the time of a drill went, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// When the drill began, since the run began to drill; no part of the total.
    pub began: f64,
    /// Until every component was ready and the products were in place; short where the pipeline was started ahead.
    pub prepare: f64,
    /// From ready until the customers had left and every fault was healed.
    pub load: f64,
    /// Until the pipeline had come to rest.
    pub settle: f64,
    /// Reading what the system holds.
    pub observe: f64,
    /// Judging the history.
    pub judge: f64,
    /// Stopping and removing everything of this drill; the next drill does not wait for it.
    pub clean_up: f64,
}

impl Seconds {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.prepare + self.load + self.settle + self.observe + self.judge + self.clean_up
    }
}

/// What came of a drill.
#[derive(Debug, Clone)]
pub struct DrillResult {
    /// What was drilled.
    pub order: Arc<DrillOrder>,
    /// The verdict with everything that explains it.
    pub judgement: Judgement,
    /// Where the time went.
    pub seconds: Seconds,
    /// The command that does the same drill again.
    pub replay: String,
}
