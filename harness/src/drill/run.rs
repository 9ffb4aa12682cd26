//! What all drills of a run share, and what a single drill is ordered with.

use std::{path::PathBuf, sync::Arc};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{ahead::Ahead, conductor::DrillError, event::EventSink};
use crate::{profile::Profiles, system::Observations, testbed::Testbed, topology::Topology};

/// What all drills of a run share.
pub struct Run {
    /// Where systems run.
    pub testbed: Arc<dyn Testbed>,
    /// The pipelines that are started before their drills ask for them.
    pub ahead: Ahead,
    /// The system.
    pub topology: Arc<Topology>,
    /// The faults by name.
    pub profiles: Arc<Profiles>,
    /// Where facts are read.
    pub observations: Arc<Observations>,
    /// The run's folder.
    pub folder: PathBuf,
    /// The run's seed.
    pub seed: u64,
    /// When the run began to drill.
    pub began: Instant,
    /// Ends every wait of every drill.
    pub cancel: CancellationToken,
    /// Who is told.
    pub events: EventSink,
}

impl Run {
    /// Asks the testbed for a browser before anything is started.
    ///
    /// # Errors
    /// [`DrillError::Unsupported`]: the drill is skipped, visibly.
    pub fn ask_for_a_browser(&self) -> Result<(), DrillError> {
        if self.testbed.capabilities().has_browser {
            return Ok(());
        }
        Err(DrillError::Unsupported(
            "a browser is missing: apt-get install chromium chromium-driver libnss3-tools".into(),
        ))
    }
}

/// One drill: a scenario, the defences that are off, a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillOrder {
    /// Counts the drills of a run, from 1.
    pub index: usize,
    /// The feature file, relative to the workspace.
    pub feature: String,
    /// Line of the scenario.
    pub line: usize,
    /// Name of the scenario.
    pub scenario: String,
    /// Catalogue ids, `6.5`.
    pub failures: Vec<String>,
    /// Defences that are off.
    pub without: Vec<String>,
    /// The finding that must appear, when the drill proves a scenario.
    pub must_find: Option<String>,
    /// Seed of this drill.
    pub seed: u64,
    /// Folder for everything this drill leaves.
    pub folder: PathBuf,
}

impl DrillOrder {
    /// Short name, unique in its run, fit for names of files and databases.
    pub fn short_name(&self) -> String {
        format!("d{:04}", self.index)
    }

    /// The command that does the same drill again.
    pub fn replay(&self) -> String {
        format!("cargo drill replay {}", self.folder.display())
    }
}

/// The seed of a scenario in a run: the same whatever else is selected and whichever defences are off, so that a
/// scenario with and without a defence differs in the defence only (FNV-1a over seed, file and name).
pub fn drill_seed(run_seed: u64, feature: &str, scenario: &str) -> u64 {
    let bytes = run_seed
        .to_le_bytes()
        .into_iter()
        .chain(feature.bytes())
        .chain([0])
        .chain(scenario.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_follow_from_run_and_scenario_only() {
        assert_eq!(drill_seed(7, "a", "b"), drill_seed(7, "a", "b"));
        assert_ne!(drill_seed(7, "a", "b"), drill_seed(8, "a", "b"));
        assert_ne!(drill_seed(7, "a", "bc"), drill_seed(7, "ab", "c"));
    }
}
