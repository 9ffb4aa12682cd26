//! The verdict of a drill, how several become one, and the exit code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The verdict of a drill. The greater one prevails: nothing that went wrong is hidden by what went right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DrillVerdict {
    /// The drill was not run, a capability is missing. Counted, and never a pass.
    #[serde(rename = "SKIPPED")]
    Skipped,
    /// Every promise was kept, and every fault was felt.
    #[serde(rename = "PASSED")]
    Passed,
    /// Nothing can be said.
    #[serde(rename = "UNDETERMINED")]
    Undetermined,
    /// A fault that was to be felt was not: the drill showed nothing.
    #[serde(rename = "FAULT NOT FELT")]
    FaultNotFelt,
    /// The pipeline did not come to rest.
    #[serde(rename = "NOT RECOVERED")]
    NotRecovered,
    /// A promise was broken.
    #[serde(rename = "VIOLATED")]
    Violated,
    /// The harness itself failed; nothing is said about the system.
    #[serde(rename = "HARNESS ERROR")]
    HarnessError,
}

impl DrillVerdict {
    /// All verdicts, from the one that yields to every other to the one that prevails.
    pub const ALL: [Self; 7] = [
        Self::Skipped,
        Self::Passed,
        Self::Undetermined,
        Self::FaultNotFelt,
        Self::NotRecovered,
        Self::Violated,
        Self::HarnessError,
    ];

    /// The verdict over two drills, or two checks of one drill.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        self.max(other)
    }

    /// The verdict over all; none over none: an empty selection is neither a pass nor a failure.
    pub fn merge_all(verdicts: impl IntoIterator<Item = Self>) -> Option<Self> {
        verdicts.into_iter().reduce(Self::merge)
    }

    /// The name that people and machines read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skipped => "SKIPPED",
            Self::Passed => "PASSED",
            Self::Undetermined => "UNDETERMINED",
            Self::FaultNotFelt => "FAULT NOT FELT",
            Self::NotRecovered => "NOT RECOVERED",
            Self::Violated => "VIOLATED",
            Self::HarnessError => "HARNESS ERROR",
        }
    }

    /// Exit code of a run with this verdict: 0 passed, 1 a finding, 2 a harness error or nothing can be said, 69 the
    /// environment lacks what every drill needs.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Violated | Self::NotRecovered | Self::FaultNotFelt => 1,
            Self::HarnessError | Self::Undetermined => 2,
            Self::Skipped => 69,
        }
    }
}

impl fmt::Display for DrillVerdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serialised_name_is_the_shown_name() {
        for verdict in DrillVerdict::ALL {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.name());
            assert_eq!(verdict.to_string(), verdict.name());
        }
    }

    #[test]
    fn a_skip_is_never_a_pass_and_hides_nothing() {
        assert_eq!(DrillVerdict::merge_all([]), None);
        assert_eq!(
            DrillVerdict::merge_all([DrillVerdict::Skipped]),
            Some(DrillVerdict::Skipped)
        );
        assert_ne!(DrillVerdict::Skipped.exit_code(), 0);
        for verdict in DrillVerdict::ALL {
            assert_eq!(verdict.merge(DrillVerdict::Skipped), verdict);
        }
    }
}
