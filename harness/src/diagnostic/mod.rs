//! A complaint about something a person wrote: what is wrong, where, and what to do.

mod nearest;
mod render;
mod source;

use std::{fmt, ops::Range, path::PathBuf};

pub use nearest::{nearest, suggestion};
pub use source::{Source, shown_path};

/// One complaint about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, relative to the workspace where possible.
    pub path: PathBuf,
    /// Line, from 1; 0 when the complaint is about the file as a whole.
    pub line: usize,
    /// Column, from 1; 0 when the complaint is about the line as a whole.
    pub column: usize,
    /// The bytes of the file that are meant, for drawing them.
    pub span: Option<Range<usize>>,
    /// What is wrong, one sentence.
    pub message: String,
    /// What to do about it, with the nearest known name where there is one.
    pub remedy: Option<String>,
}

impl Diagnostic {
    /// A complaint about a file (or a command line argument) as a whole.
    pub fn whole(
        path: impl Into<PathBuf>,
        message: impl Into<String>,
        remedy: Option<String>,
    ) -> Self {
        Self {
            path: path.into(),
            line: 0,
            column: 0,
            span: None,
            message: message.into(),
            remedy,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.path.display())?;
        if self.line > 0 {
            write!(out, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(out, ":{}", self.column)?;
        }
        write!(out, ": {}", self.message)?;
        match &self.remedy {
            Some(remedy) => write!(out, " ({remedy})"),
            None => Ok(()),
        }
    }
}

/// Everything that was found wrong; nothing is started while there is any.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// `value` if nothing is wrong, else everything that is, in the order of the places.
    ///
    /// # Errors
    /// Something was found wrong.
    pub fn unless_empty<T>(value: T, found: Vec<Diagnostic>) -> Result<T, Self> {
        match found.is_empty() {
            true => Ok(value),
            false => Err(Self::sorted(found)),
        }
    }

    /// Complaints in the order of their places, each once.
    pub fn sorted(mut found: Vec<Diagnostic>) -> Self {
        found.sort_by(|a, b| {
            (&a.path, a.line, a.column, &a.message).cmp(&(&b.path, b.line, b.column, &b.message))
        });
        found.dedup();
        Self(found)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}
