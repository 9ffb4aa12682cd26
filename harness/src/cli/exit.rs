//! What a command exits with.

use firedrill_oracle::DrillVerdict;

use crate::{diagnostic::Diagnostics, testbed::TestbedError};

/// Something written or typed is wrong (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// The machine lacks something (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// The harness failed.
pub const HARNESS: u8 = 2;

/// Why a command ends without verdicts.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Something written or typed is wrong; nothing was started.
    #[error("{0}")]
    Wrong(#[from] Diagnostics),
    /// A word on the command line is wrong; nothing was started.
    #[error("{0}")]
    Usage(String),
    /// The machine lacks something.
    #[error("{0}")]
    Lacking(String),
    /// The harness failed.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl Refusal {
    /// What the command exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Wrong(_) | Self::Usage(_) => USAGE,
            Self::Lacking(_) => UNAVAILABLE,
            Self::Failed(_) => HARNESS,
        }
    }
}

impl From<TestbedError> for Refusal {
    fn from(error: TestbedError) -> Self {
        match error {
            TestbedError::Missing { .. } => Self::Lacking(error.to_string()),
            other => Self::Failed(other.into()),
        }
    }
}

/// The exit code of a run: the worst of its verdicts.
pub fn of_verdicts(verdicts: impl IntoIterator<Item = DrillVerdict>) -> u8 {
    verdicts
        .into_iter()
        .reduce(DrillVerdict::merge)
        .map_or(0, |worst| worst.exit_code())
}
