//! What can go wrong with a fault.

use crate::{mechanism::MechanismError, testbed::TestbedError};

/// A fault could not be injected, asked or healed; never a finding about the system.
#[derive(Debug, thiserror::Error)]
#[error("the fault {fault:?} could not be {doing}: {cause}")]
pub struct FaultError {
    /// Name of the fault.
    pub fault: String,
    /// What was being done with it.
    pub doing: Doing,
    /// What went wrong.
    #[source]
    pub cause: Cause,
}

/// What was being done with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It was to come into force.
    Injecting,
    /// A witness was asked whether it was felt.
    Asking,
    /// It was to be taken back.
    Healing,
}

impl std::fmt::Display for Doing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Injecting => "injected",
            Self::Asking => "witnessed",
            Self::Healing => "healed",
        })
    }
}

/// Why something could not be done with a fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A tool failed.
    #[error(transparent)]
    Mechanism(#[from] MechanismError),
    /// The testbed failed.
    #[error(transparent)]
    Testbed(#[from] TestbedError),
    /// The testbed lacks what this kind of fault needs; the scenario is skipped, visibly.
    #[error("this testbed cannot {what}")]
    Unsupported {
        /// What it cannot do, as a verb: `freeze processes`.
        what: String,
    },
    /// There is nothing that the fault could hurt.
    #[error("there is no {target}: {remedy}")]
    NoTarget {
        /// What was looked for.
        target: String,
        /// What to do.
        remedy: String,
    },
    /// Several things failed one after the other, as healing goes on where it can.
    #[error("{}", several(.0))]
    Several(Vec<Cause>),
}

impl Cause {
    /// One failure of those that were collected, or none.
    pub(crate) fn of_all(mut failures: Vec<Self>) -> Result<(), Self> {
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.remove(0)),
            _ => Err(Self::Several(failures)),
        }
    }
}

impl FaultError {
    /// Whether the testbed lacks a capability, so that the scenario is to be skipped rather than failed.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self.cause, Cause::Unsupported { .. })
            || matches!(self.cause, Cause::Mechanism(MechanismError::Missing { .. }))
    }
}

fn several(causes: &[Cause]) -> String {
    causes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; also: ")
}
