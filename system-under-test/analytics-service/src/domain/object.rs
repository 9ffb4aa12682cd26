//! The objects of the data lake: a name that says which offsets it covers, and one line of JSON for each of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The name of an object. The same messages taken together have the same name, so that a batch that is delivered again
/// repeats itself and never replaces another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// The topic, without prefix.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset that it covers.
    pub first: i64,
    /// The offset after the last that it covers.
    pub next: i64,
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            topic,
            partition,
            first,
            next,
        } = self;
        write!(out, "{topic}/{partition}/{first:020}-{next:020}.jsonl")
    }
}

impl ObjectName {
    /// Reads a name; none when it is no object of ours.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".jsonl")?.split('/');
        let (topic, partition, range) = (parts.next()?, parts.next()?, parts.next()?);
        let (first, next) = range.split_once('-')?;
        let read = Self {
            topic: topic.to_owned(),
            partition: partition.parse().ok()?,
            first: first.parse().ok()?,
            next: next.parse().ok()?,
        };
        (parts.next().is_none() && read.first < read.next).then_some(read)
    }
}

/// One line of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The offset of the message.
    pub offset: i64,
    /// What became of it.
    #[serde(flatten)]
    pub content: Content,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// It is kept as it came.
    Event(Value),
    /// It is in the dead-letter topic, for this reason.
    Parked(String),
}

/// Why an object cannot be taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A line cannot be read.
    #[error("line {line} cannot be read: {reason}")]
    Line {
        /// Counts from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The end or the beginning is missing.
    #[error("it covers offsets {first} to {next}, but holds {held}")]
    Short {
        /// As its name says.
        first: i64,
        /// As its name says.
        next: i64,
        /// What is there, in words.
        held: String,
    },
}

/// The text of an object.
///
/// # Errors
/// A line that cannot be written as JSON.
pub fn write(lines: &[Line]) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Reads an object; only a whole one.
///
/// # Errors
/// [`Damage`].
pub fn read(name: &ObjectName, text: &[u8]) -> Result<Vec<Line>, Damage> {
    let whole_lines = match text.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => &text[..end],
        None => &[],
    };
    let mut lines = Vec::new();
    if !whole_lines.is_empty() {
        for (index, line) in whole_lines.split(|byte| *byte == b'\n').enumerate() {
            let read: Line = serde_json::from_slice(line).map_err(|error| Damage::Line {
                line: index + 1,
                reason: error.to_string(),
            })?;
            lines.push(read);
        }
    }
    let from = lines.first().map(|line| line.offset);
    let to = lines.last().map(|line| line.offset + 1);
    if from == Some(name.first) && to == Some(name.next) && text.ends_with(b"\n") {
        return Ok(lines);
    }
    let held = match (from, to) {
        (Some(from), Some(to)) => format!("only {from} to {to}"),
        _ => "nothing".to_owned(),
    };
    Err(Damage::Short {
        first: name.first,
        next: name.next,
        held,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn name(first: i64, next: i64) -> ObjectName {
        ObjectName {
            topic: "order-events".to_owned(),
            partition: 3,
            first,
            next,
        }
    }

    fn lines(first: i64, next: i64) -> Vec<Line> {
        let content = |offset| match offset % 3 {
            0 => Content::Parked("no version".to_owned()),
            _ => Content::Event(json!({ "at": "2026-11-25T10:00:00Z", "text": "ä\n" })),
        };
        let line = |offset| Line {
            offset,
            content: content(offset),
        };
        (first..next).map(line).collect()
    }

    #[test]
    fn a_name_is_read_back_and_strangers_are_left_alone() {
        let written = name(7, 12).to_string();
        assert_eq!(
            written,
            "order-events/3/00000000000000000007-00000000000000000012.jsonl"
        );
        assert_eq!(ObjectName::parse(&written), Some(name(7, 12)));
        for stranger in [
            "",
            "a.jsonl",
            "a/b/c.jsonl",
            "t/1/5-5.jsonl",
            "t/1/1-2.csv",
            "t/1/1-2/x.jsonl",
        ] {
            assert_eq!(ObjectName::parse(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn lines_are_flat() {
        let text = write(&lines(2, 4)).expect("writes");
        let text = String::from_utf8(text).expect("text");
        assert!(text.starts_with("{\"offset\":2,\"event\":{"), "{text}");
        assert!(
            text.ends_with("{\"offset\":3,\"parked\":\"no version\"}\n"),
            "{text}"
        );
    }

    proptest! {
        /// Wherever an object is cut, it is not taken for a whole one.
        #[test]
        fn only_whole_objects_are_read(first in 0..100_i64, count in 1..8_i64, cut in 0.0..1.0_f64) {
            let (name, lines) = (name(first, first + count), lines(first, first + count));
            let text = write(&lines).expect("writes");
            prop_assert_eq!(read(&name, &text), Ok(lines));
            #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let end = (text.len() as f64 * cut) as usize;
            prop_assert!(read(&name, &text[..end]).is_err());
            prop_assert!(read(&name, &text[text.len() - end..]).is_err());
        }
    }
}
