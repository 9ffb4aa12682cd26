//! What can go wrong with a tool.

/// A tool did not do what it was asked to; never a finding about the system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MechanismError {
    /// The tool did not answer.
    #[error("{doing}: {place} does not answer: {reason} (is it running? its log says more)")]
    Unreachable {
        /// What was being done.
        doing: String,
        /// Address of the tool.
        place: String,
        /// What the connection said.
        reason: String,
    },
    /// The tool answered, but refused.
    #[error("{doing}: {place} answered {status}: {answer}")]
    Refused {
        /// What was being done.
        doing: String,
        /// Address of the tool.
        place: String,
        /// HTTP status.
        status: u16,
        /// What it said, shortened.
        answer: String,
    },
    /// The tool said yes, but what is in force differs from what was asked for.
    #[error("{doing}: {place} agreed, but what is in force there is {found}")]
    NotInForce {
        /// What was being done.
        doing: String,
        /// Address of the tool.
        place: String,
        /// What was read back.
        found: String,
    },
    /// The testbed lacks the tool.
    #[error("{what} is not available on this testbed ({remedy})")]
    Missing {
        /// What is missing.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// A name that the tool does not know.
    #[error("{what} {name:?} is not known at {place}{}", nearest_words(.nearest.as_deref(), .known))]
    Unknown {
        /// `fail-point`, `topic`, `consumer group`.
        what: &'static str,
        /// The name.
        name: String,
        /// Where it was looked for.
        place: String,
        /// The known name that is nearest.
        nearest: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
    /// Something else failed.
    #[error("{doing}: {reason}")]
    Failed {
        /// What was being done, to what.
        doing: String,
        /// What went wrong.
        reason: String,
    },
}

impl MechanismError {
    /// A failure of a client library, with what was being done.
    pub(crate) fn failed(doing: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Failed {
            doing: doing.into(),
            reason: reason.to_string(),
        }
    }

    /// A name that is not among the known ones.
    pub(crate) fn unknown(
        what: &'static str,
        name: &str,
        place: impl Into<String>,
        known: Vec<String>,
    ) -> Self {
        Self::Unknown {
            what,
            name: name.to_owned(),
            place: place.into(),
            nearest: crate::diagnostic::nearest(name, known.iter().map(String::as_str))
                .map(str::to_owned),
            known,
        }
    }
}

fn nearest_words(nearest: Option<&str>, known: &[String]) -> String {
    match (nearest, known.is_empty()) {
        (Some(nearest), _) => format!("; did you mean {nearest:?}?"),
        (None, false) => format!("; known are {}", known.join(", ")),
        (None, true) => "; nothing is known there".to_owned(),
    }
}
