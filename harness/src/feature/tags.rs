//! What tags mean. Every tag must mean something: a misspelt one would silently select or prove nothing.

use std::ops::Range;

use super::Vocabulary;
use crate::{
    catalogue,
    diagnostic::{Diagnostic, Source, nearest, suggestion},
};

/// Tags without an argument: how long a scenario takes, that no other may be under way beside it, and that exploring has
/// found it.
pub const PLAIN_TAGS: [&str; 4] = ["quick", "slow", "alone", "regression"];

/// A defence without which a scenario must fail, and the finding that must then appear.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Without {
    /// The defence, `payment.idempotency-key`.
    pub defence: String,
    /// The invariant or expectation that must be violated, `no-duplicate-charge`.
    pub finding: String,
}

/// What a tag means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tag<'a> {
    /// `F6.5`: the scenario shows this failure of the catalogue.
    Failure(&'a str),
    /// `without:DEFENCE/FINDING`.
    Without { defence: &'a str, finding: &'a str },
    /// One of [`PLAIN_TAGS`].
    Plain,
    /// None of these.
    Unknown,
}

impl<'a> Tag<'a> {
    /// Reads a tag, given without `@`.
    pub(super) fn read(name: &'a str) -> Self {
        if let Some(pair) = name.strip_prefix("without:") {
            let (defence, finding) = pair.split_once('/').unwrap_or((pair, ""));
            return Self::Without { defence, finding };
        }
        if let Some(id) = name.strip_prefix('F')
            && id.starts_with(|first: char| first.is_ascii_digit())
        {
            return Self::Failure(id);
        }
        match PLAIN_TAGS.contains(&name) {
            true => Self::Plain,
            false => Self::Unknown,
        }
    }
}

/// What is wrong with a tag (without `@`) that stands at `span` (with `@`).
pub(super) fn problem(
    source: &Source,
    name: &str,
    span: &Range<usize>,
    vocabulary: &Vocabulary<'_>,
) -> Option<Diagnostic> {
    let (part, message, remedy) = complaint(name, vocabulary)?;
    let offset = source.text[span.clone()].find(&part).unwrap_or(0);
    let length = if part.is_empty() {
        span.len()
    } else {
        part.len()
    };
    let start = span.start + offset;
    Some(source.complain(start..start + length, message, remedy))
}

/// What is wrong with a tag: the part that is meant, the message, the remedy.
pub(super) fn complaint(
    name: &str,
    vocabulary: &Vocabulary<'_>,
) -> Option<(String, String, Option<String>)> {
    match Tag::read(name) {
        Tag::Plain => None,
        Tag::Failure(id) => {
            let ids = catalogue::FAILURES.iter().map(|failure| failure.id);
            catalogue::failure(id).is_none().then(|| {
                let remedy = nearest(id, ids)
                    .map(|meant| format!("did you mean `@F{meant}`?"))
                    .or_else(|| Some("`firedrill list failures` prints them".to_owned()));
                (
                    name.to_owned(),
                    format!("failure `{id}` is not in the catalogue"),
                    remedy,
                )
            })
        }
        Tag::Without { defence, finding } => {
            let defences = vocabulary.topology.defences.keys().map(String::as_str);
            if !vocabulary.topology.defences.contains_key(defence) {
                let remedy = suggestion(defence, defences);
                return Some((
                    defence.to_owned(),
                    format!("unknown defence `{defence}`"),
                    remedy,
                ));
            }
            if finding.is_empty() {
                let message = format!("`@{name}` does not say what must be found");
                let remedy = "write `@without:DEFENCE/FINDING`".to_owned();
                return Some((name.to_owned(), message, Some(remedy)));
            }
            let findings = vocabulary.findings.iter().map(String::as_str);
            (!vocabulary.findings.contains(finding)).then(|| {
                let remedy = suggestion(finding, findings);
                (
                    finding.to_owned(),
                    format!("unknown finding `{finding}`"),
                    remedy,
                )
            })
        }
        Tag::Unknown => {
            let remedy = unknown_remedy(name);
            Some((
                name.to_owned(),
                format!("unknown tag `@{name}`"),
                Some(remedy),
            ))
        }
    }
}

fn unknown_remedy(name: &str) -> String {
    let failures: Vec<String> = catalogue::FAILURES
        .iter()
        .map(|failure| format!("F{}", failure.id))
        .collect();
    let (front, rest) = name.split_once(':').unwrap_or((name, ""));
    if nearest(front, ["without"]).is_some() {
        let rest = if rest.is_empty() {
            "DEFENCE/FINDING"
        } else {
            rest
        };
        return format!("did you mean `@without:{rest}`?");
    }
    let known = PLAIN_TAGS
        .into_iter()
        .chain(failures.iter().map(String::as_str));
    match nearest(name, known) {
        Some(meant) => format!("did you mean `@{meant}`?"),
        None => format!(
            "known: `@F6.5`, `@without:DEFENCE/FINDING`, {}",
            PLAIN_TAGS.map(|tag| format!("`@{tag}`")).join(", ")
        ),
    }
}
