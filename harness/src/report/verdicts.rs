//! `verdicts.json`: a run for machines. The schema is kept; a field is never renamed or removed within schema 1.

use std::path::{Path, PathBuf};

use firedrill_oracle::{Checked, Felt, Finding, judgement::CheckResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::drill::DrillResult;

/// Name of the file in the run's folder.
pub const FILE: &str = "verdicts.json";

/// Version of the file's schema.
pub const SCHEMA: u32 = 1;

/// A run's verdicts cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum VerdictsError {
    /// The file cannot be opened.
    #[error("{} cannot be read ({source}): name the folder of a run that has ended", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{} holds no verdicts: {source}", path.display())]
    NotVerdicts {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A later version wrote it.
    #[error("{} has schema {found}, this version reads schema {SCHEMA}", path.display())]
    UnknownSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdicts {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `local` or `containers`.
    pub testbed: String,
    /// The run's seed.
    pub seed: u64,
    /// What the command exits with.
    pub exit_code: u8,
    /// What the harness could not do outside any drill, such as removing what it had started; nothing in a good run.
    #[serde(default)]
    pub harness_errors: Vec<String>,
    /// The drills in their order.
    pub drills: Vec<DrillEntry>,
}

/// A drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DrillEntry {
    /// The feature file, relative to the workspace.
    pub feature: String,
    /// Line of the scenario.
    pub line: usize,
    /// Name of the scenario.
    pub scenario: String,
    /// Catalogue ids.
    pub failures: Vec<String>,
    /// Defences that were off.
    pub without: Vec<String>,
    /// The finding that had to appear, where the drill was to prove that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub must_find: Option<String>,
    /// The drill's seed.
    pub seed: u64,
    /// The drill's folder, relative to the run's.
    #[serde(default)]
    pub folder: String,
    /// `PASSED`, `VIOLATED`, ...
    pub verdict: String,
    /// The faults and how often they were felt.
    pub felt: Vec<FeltEntry>,
    /// What broke.
    pub findings: Vec<FindingEntry>,
    /// Why nothing can be said, where nothing can be said.
    pub reasons: Vec<String>,
    /// Every promise that was checked, with how it ended.
    #[serde(default)]
    pub checks: Vec<CheckEntry>,
    /// What became of orders.
    pub orders: OrdersEntry,
    /// Where the time went, in seconds.
    pub seconds: SecondsEntry,
    /// The command that does the same drill again.
    pub replay: String,
}

/// A fault and how often it was felt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeltEntry {
    /// The profile.
    pub fault: String,
    /// Who counted.
    pub witness: String,
    /// How often.
    pub count: u64,
    /// How often it had to be.
    pub at_least: u64,
}

/// A promise that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckEntry {
    /// Name of the invariant or expectation.
    pub name: String,
    /// `holds`, `violated` or `undetermined`.
    pub result: String,
    /// How many orders, products, messages ... were looked at.
    pub checked: u64,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingEntry {
    /// Name of the invariant or expectation.
    pub invariant: String,
    /// What broke, in one sentence.
    pub sentence: String,
    /// The worst case, if it is worse than the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
    /// How many.
    pub count: u64,
    /// Which.
    pub subjects: Vec<String>,
    /// The life of the first, across all services.
    pub story: Vec<String>,
}

/// What became of orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrdersEntry {
    /// What customers wanted: purchases, however often each was attempted.
    pub attempted: u64,
    /// Accepted orders.
    pub accepted: u64,
    /// Orders with a charge that was kept.
    pub paid: u64,
    /// Orders whose charge was given back.
    pub refunded: u64,
}

/// Where the time went, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecondsEntry {
    /// When the drill began, since the run began to drill.
    #[serde(default)]
    pub began: f64,
    /// Until every component was ready; short where the pipeline was started ahead.
    pub prepare: f64,
    /// Customers and faults.
    pub load: f64,
    /// Until the pipeline had come to rest.
    pub settle: f64,
    /// Reading what the system holds.
    pub observe: f64,
    /// Judging.
    pub judge: f64,
    /// Stopping and removing everything; the next drill does not wait for it.
    pub clean_up: f64,
}

impl Verdicts {
    /// A run as its results say; `folder` is the run's.
    pub fn new<'a>(
        folder: &Path,
        testbed: &str,
        seed: u64,
        exit_code: u8,
        results: impl IntoIterator<Item = &'a DrillResult>,
    ) -> Self {
        Self {
            schema: SCHEMA,
            testbed: testbed.to_owned(),
            seed,
            exit_code,
            harness_errors: Vec::new(),
            drills: results
                .into_iter()
                .map(|result| DrillEntry::new(folder, result))
                .collect(),
        }
    }

    /// Reads the file of a run's folder.
    ///
    /// # Errors
    /// There is none, or it is of another schema.
    pub fn read(folder: &Path) -> Result<Self, VerdictsError> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| VerdictsError::Unreadable {
            path: path.clone(),
            source,
        })?;
        let verdicts: Self =
            serde_json::from_str(&text).map_err(|source| VerdictsError::NotVerdicts {
                path: path.clone(),
                source,
            })?;
        if verdicts.schema != SCHEMA {
            return Err(VerdictsError::UnknownSchema {
                path,
                found: verdicts.schema,
            });
        }
        Ok(verdicts)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let unfinished = path.with_extension("json.part");
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        std::fs::write(&unfinished, text)?;
        std::fs::rename(&unfinished, path)
    }
}

impl DrillEntry {
    fn new(folder: &Path, result: &DrillResult) -> Self {
        let (order, judgement, seconds) = (&result.order, &result.judgement, &result.seconds);
        Self {
            feature: order.feature.clone(),
            line: order.line,
            scenario: order.scenario.clone(),
            failures: order.failures.clone(),
            without: order.without.clone(),
            must_find: order.must_find.clone(),
            seed: order.seed,
            folder: order
                .folder
                .strip_prefix(folder)
                .unwrap_or(&order.folder)
                .display()
                .to_string(),
            verdict: judgement.verdict.name().to_owned(),
            felt: judgement.felt.iter().map(FeltEntry::new).collect(),
            findings: judgement.findings.iter().map(FindingEntry::new).collect(),
            reasons: judgement
                .reasons
                .iter()
                .map(|reason| reason.sentence.clone())
                .collect(),
            checks: judgement.checks.iter().map(CheckEntry::new).collect(),
            orders: OrdersEntry {
                attempted: judgement.orders.attempted,
                accepted: judgement.orders.accepted,
                paid: judgement.orders.paid,
                refunded: judgement.orders.refunded,
            },
            seconds: SecondsEntry {
                began: rounded(seconds.began),
                prepare: rounded(seconds.prepare),
                load: rounded(seconds.load),
                settle: rounded(seconds.settle),
                observe: rounded(seconds.observe),
                judge: rounded(seconds.judge),
                clean_up: rounded(seconds.clean_up),
            },
            replay: result.replay.clone(),
        }
    }
}

impl FeltEntry {
    fn new(felt: &Felt) -> Self {
        Self {
            fault: felt.fault.clone(),
            witness: felt.witness.clone(),
            count: felt.count,
            at_least: felt.at_least,
        }
    }
}

impl CheckEntry {
    fn new(check: &Checked) -> Self {
        let result = match check.result {
            CheckResult::Holds => "holds",
            CheckResult::Violated => "violated",
            CheckResult::Undetermined => "undetermined",
        };
        Self {
            name: check.name.clone(),
            result: result.to_owned(),
            checked: check.checked,
        }
    }
}

impl FindingEntry {
    fn new(finding: &Finding) -> Self {
        Self {
            invariant: finding.name.clone(),
            sentence: finding.sentence.clone(),
            worst: finding.worst.clone(),
            count: finding.count,
            subjects: finding.subjects.clone(),
            story: finding.story.clone(),
        }
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
