//! What each line of a feature file is, before the Gherkin parser sees it.
//!
//! The parser takes a line that it does not know for a description, and reports other mistakes at the end of the file; here
//! every line must be something, and says what it is.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Source, nearest};

/// Keywords that begin a part of a file, without their colon.
const HEADERS: [(&str, Header); 9] = [
    ("Feature", Header::Feature),
    ("Background", Header::Background),
    ("Scenario Outline", Header::Outline),
    ("Scenario Template", Header::Outline),
    ("Scenario", Header::Scenario),
    ("Example", Header::Scenario),
    ("Examples", Header::Examples),
    ("Scenarios", Header::Examples),
    ("Rule", Header::Rule),
];

/// Keywords that begin a step.
const STEPS: [&str; 5] = ["Given", "When", "Then", "And", "But"];

/// Ordinary words that are one slip away from a step's keyword, but begin sentences of descriptions.
const ORDINARY_WORDS: [&str; 24] = [
    "a", "add", "an", "any", "ant", "are", "as", "at", "bit", "bus", "but", "buy", "cut", "end",
    "give", "gives", "he", "it", "out", "put", "that", "the", "them", "they",
];

/// A part of a feature file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    Feature,
    Rule,
    Background,
    Scenario,
    Outline,
    Examples,
}

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing, or a comment.
    Blank,
    /// `@tags`, each with the bytes it stands at.
    Tags(Vec<(String, Range<usize>)>),
    /// The beginning of a part, with its name.
    Header(Header, String),
    /// A step, with its keyword and what it says.
    Step { keyword: &'static str, text: String },
    /// A row of a table, with the number of its cells.
    Row(usize),
    /// The beginning or the end of a text block, or a line in one.
    Block,
    /// Anything else.
    Free,
}

/// A line and where its words begin.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// From 1.
    pub(super) number: usize,
    /// The bytes of what it says, without the blanks around it.
    pub(super) span: Range<usize>,
    pub(super) line: Line,
}

/// Every line of a file; mistakes that a single line shows go to `found`.
pub(super) fn classify(source: &Source, found: &mut Vec<Diagnostic>) -> Vec<Placed> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut block: Option<(&str, Range<usize>)> = None;
    for (index, whole) in source.text.split_inclusive('\n').enumerate() {
        let text = whole.trim();
        let begin = start + (whole.len() - whole.trim_start().len());
        let span = begin.min(start + whole.len())..begin + text.len();
        start += whole.len();
        let line = match &block {
            Some((fence, _)) => {
                if text.starts_with(fence) {
                    block = None;
                }
                Line::Block
            }
            None => match ["\"\"\"", "```"]
                .into_iter()
                .find(|fence| text.starts_with(fence))
            {
                Some(fence) => {
                    let closed_at_once =
                        text.len() > fence.len() && text[fence.len()..].contains(fence);
                    block = (!closed_at_once).then_some((fence, span.clone()));
                    Line::Block
                }
                None => one_line(source, text, &span, found),
            },
        };
        let number = index + 1;
        lines.push(Placed { number, span, line });
    }
    if let Some((fence, span)) = block {
        let remedy = format!("close it with `{fence}` on a line of its own");
        found.push(source.complain(span, "this text block has no end", Some(remedy)));
    }
    lines
}

fn one_line(source: &Source, text: &str, span: &Range<usize>, found: &mut Vec<Diagnostic>) -> Line {
    if text.is_empty() {
        return Line::Blank;
    }
    if let Some(comment) = text.strip_prefix('#') {
        let language = comment.trim().strip_prefix("language:").map(str::trim);
        if let Some(language) = language.filter(|language| *language != "en") {
            let message = format!("features in `{language}` are not understood");
            let remedy = "write the keywords in English".to_owned();
            found.push(source.complain(span.clone(), message, Some(remedy)));
        }
        return Line::Blank;
    }
    if text.starts_with('@') {
        return tags(source, text, span, found);
    }
    if text.starts_with('|') {
        return row(source, text, span, found);
    }
    if let Some((header, name)) = header(text) {
        return Line::Header(header, name.to_owned());
    }
    for keyword in STEPS {
        let rest = text.strip_prefix(keyword);
        if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
            if rest.trim().is_empty() {
                let message = format!("`{keyword}` says nothing");
                found.push(source.complain(
                    span.clone(),
                    message,
                    Some("write the step, or remove the line".to_owned()),
                ));
            }
            let text = rest.trim().to_owned();
            return Line::Step { keyword, text };
        }
    }
    Line::Free
}

fn header(text: &str) -> Option<(Header, &str)> {
    let (before, name) = text.split_once(':')?;
    HEADERS
        .iter()
        .find(|(keyword, _)| *keyword == before)
        .map(|(_, header)| (*header, name.trim()))
}

fn tags(source: &Source, text: &str, span: &Range<usize>, found: &mut Vec<Diagnostic>) -> Line {
    let mut tags = Vec::new();
    let mut offset = 0;
    for word in text.split_inclusive([' ', '\t']) {
        let start = span.start + offset;
        offset += word.len();
        let word = word.trim_end();
        if word.is_empty() {
            continue;
        }
        if word.starts_with('#') {
            break;
        }
        let place = start..start + word.len();
        match word.strip_prefix('@') {
            Some(name) if !name.is_empty() && !name.contains('@') => {
                tags.push((name.to_owned(), place));
            }
            _ => {
                let message = format!("`{word}` is not a tag");
                let remedy = "tags begin with `@` and are set apart by blanks".to_owned();
                found.push(source.complain(place, message, Some(remedy)));
            }
        }
    }
    Line::Tags(tags)
}

fn row(source: &Source, text: &str, span: &Range<usize>, found: &mut Vec<Diagnostic>) -> Line {
    let mut bars = 0;
    let mut escaped = false;
    let mut last_is_bar = false;
    for character in text.chars() {
        last_is_bar = character == '|' && !escaped;
        bars += usize::from(last_is_bar);
        escaped = character == '\\' && !escaped;
    }
    if !last_is_bar || bars < 2 {
        let remedy = "end the row with `|`".to_owned();
        found.push(source.complain(span.clone(), "this row of a table has no end", Some(remedy)));
    }
    Line::Row(bars.saturating_sub(1))
}

/// What a line of free text may have been meant to be: a remedy if it is one slip away from a keyword.
///
/// `steps` says whether a step may stand here; lines of descriptions begin with all kinds of words.
pub(super) fn meant(text: &str, steps: bool) -> Option<String> {
    if let Some((before, _)) = text.split_once(':')
        && let Some(keyword) = nearest(before.trim(), HEADERS.map(|(keyword, _)| keyword))
        && before.split_whitespace().count() <= 2
    {
        return Some(format!("did you mean `{keyword}:`?"));
    }
    let word = text.split_whitespace().next().unwrap_or_default();
    if HEADERS[..5].iter().any(|(keyword, _)| *keyword == word) && steps {
        return Some(format!("did you mean `{word}:`?"));
    }
    let lowered = word.to_lowercase();
    if !steps
        || ORDINARY_WORDS.contains(&lowered.as_str()) && !STEPS.contains(&word) && lowered != "but"
    {
        return None;
    }
    STEPS
        .into_iter()
        .map(|keyword| {
            let slips = strsim::damerau_levenshtein(&lowered, &keyword.to_lowercase());
            (slips, keyword)
        })
        .filter(|(slips, keyword)| *slips <= if keyword.len() > 4 { 2 } else { 1 })
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, keyword)| format!("did you mean `{keyword}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_keywords_are_recognised_and_sentences_are_not() {
        for (text, keyword) in [
            ("Gven a delay", "`Given`"),
            ("Givne a delay", "`Given`"),
            ("given a delay", "`Given`"),
            ("Wehn it rains", "`When`"),
            ("Thne it holds", "`Then`"),
            ("Adn it holds", "`And`"),
            ("Senario: x", "`Scenario:`"),
            ("Scenario Outlin: x", "`Scenario Outline:`"),
            ("Backgroud:", "`Background:`"),
            ("Scenario x", "`Scenario:`"),
        ] {
            let remedy = meant(text, true).unwrap_or_default();
            assert!(remedy.contains(keyword), "{text}: {remedy}");
        }
        for text in [
            "The provider charges the card.",
            "They may be lost.",
            "An order is placed.",
            "Any of these: it depends",
            "Customers press the button twice.",
            "Where it hurts",
            "Whoever pays is charged once.",
        ] {
            assert_eq!(meant(text, true), None, "{text}");
        }
    }
}
