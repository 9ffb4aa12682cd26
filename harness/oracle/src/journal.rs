//! Reading the lines of a journal.

use serde::Deserialize;

use crate::history::History;
use crate::record::{Fact, JOURNAL_SCHEMA, Record};

/// Why a line of a journal is refused.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The journal was written in another format.
    #[error("the journal has schema {found}, this version reads schema {JOURNAL_SCHEMA}")]
    UnknownSchema {
        /// Schema of the writer.
        found: u64,
    },
    /// The line is not a record.
    #[error("not a record: {0}")]
    NotARecord(#[from] serde_json::Error),
}

/// Why a journal is refused.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {source}")]
pub struct JournalError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub source: LineError,
}

/// Enough of a first line to tell in which format the journal was written.
#[derive(Deserialize)]
struct FirstLine {
    record: String,
    schema: u64,
}

/// Reads one line of a journal.
///
/// # Errors
/// When the line is not a record, or is the header of a journal with another schema than [`JOURNAL_SCHEMA`].
pub fn parse_line(line: &str) -> Result<Record, LineError> {
    if let Some(fact) = parse_fact(line) {
        return Ok(Record::Fact(fact));
    }
    match serde_json::from_str(line) {
        Ok(Record::Drill(header)) if header.schema != JOURNAL_SCHEMA => {
            Err(LineError::UnknownSchema {
                found: header.schema.into(),
            })
        }
        Ok(record) => Ok(record),
        Err(unreadable) => Err(match serde_json::from_str::<FirstLine>(line) {
            Ok(first) if first.record == "drill" && first.schema != u64::from(JOURNAL_SCHEMA) => {
                LineError::UnknownSchema {
                    found: first.schema,
                }
            }
            _ => LineError::NotARecord(unreadable),
        }),
    }
}

/// Most lines are facts, and those a writer of ours wrote begin alike: without their first field they are read in half the
/// time. A line that cannot be read so is read the long way, which also says what is wrong with it.
fn parse_fact(line: &str) -> Option<Fact> {
    let rest = line.strip_prefix(r#"{"record":"fact","#)?;
    let mut fact = String::with_capacity(rest.len() + 1);
    fact.push('{');
    fact.push_str(rest);
    serde_json::from_str(&fact).ok()
}

impl History {
    /// Reads a whole journal. A last line without its line end that cannot be read was cut off when the writer died: it
    /// is left out, and the journal is incomplete.
    ///
    /// # Errors
    /// When any other line is not a record, or the journal has another schema.
    pub fn from_journal(text: &str) -> Result<Self, JournalError> {
        let mut history = Self::new();
        for (index, raw) in text.split_inclusive('\n').enumerate() {
            let line = raw.trim();
            if line.is_empty() {
                continue;
            }
            match parse_line(line) {
                Ok(record) => history.push(record),
                Err(LineError::NotARecord(_)) if !raw.ends_with('\n') => history.note_cut_line(),
                Err(source) => {
                    return Err(JournalError {
                        line: index + 1,
                        source,
                    });
                }
            }
        }
        Ok(history)
    }
}
