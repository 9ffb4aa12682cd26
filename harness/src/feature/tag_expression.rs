//! Choosing scenarios by their tags: `@F6.5 and not (@slow or @regression)`.

use super::{Vocabulary, tags};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// A condition on tags. `not` binds closest, then `and`, then `or`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagExpression {
    root: Node,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Tag(String),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
}

impl TagExpression {
    /// Reads an expression as it is given to `--tags`.
    ///
    /// # Errors
    /// It cannot be understood, or names a tag that cannot exist; the column counts from its first character.
    pub fn parse(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Self, Diagnostics> {
        let mut parser = Parser {
            text,
            words: words(text),
            next: 0,
        };
        let root = parser.or().map_err(Diagnostics::from)?;
        if let Some((start, word)) = parser.peek() {
            let message = format!("`{word}` is too much");
            let remedy = "put `and` or `or` between tags".to_owned();
            return Err(complain(start, message, Some(remedy)).into());
        }
        let unknown = parser
            .words
            .iter()
            .filter_map(|(start, word)| unknown_tag(*start, word.strip_prefix('@')?, vocabulary))
            .collect();
        Diagnostics::unless_empty(Self { root }, unknown)
    }

    /// Whether a scenario with these tags (without `@`) is meant.
    ///
    /// `@without:DEFENCE` means every `@without:DEFENCE/FINDING`.
    pub fn matches(&self, tags: &[String]) -> bool {
        self.root.matches(tags)
    }
}

impl Node {
    fn matches(&self, tags: &[String]) -> bool {
        match self {
            Self::Tag(wanted) => tags.iter().any(|tag| {
                tag.strip_prefix(wanted.as_str()).is_some_and(|rest| {
                    rest.is_empty() || wanted.starts_with("without:") && rest.starts_with('/')
                })
            }),
            Self::Not(inner) => !inner.matches(tags),
            Self::And(left, right) => left.matches(tags) && right.matches(tags),
            Self::Or(left, right) => left.matches(tags) || right.matches(tags),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    words: Vec<(usize, &'a str)>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<(usize, &'a str)> {
        self.words.get(self.next).copied()
    }

    fn take(&mut self, wanted: &str) -> bool {
        let taken = self.peek().is_some_and(|(_, word)| word == wanted);
        self.next += usize::from(taken);
        taken
    }

    fn or(&mut self) -> Result<Node, Diagnostic> {
        let mut node = self.and()?;
        while self.take("or") {
            node = Node::Or(Box::new(node), Box::new(self.and()?));
        }
        Ok(node)
    }

    fn and(&mut self) -> Result<Node, Diagnostic> {
        let mut node = self.not()?;
        while self.take("and") {
            node = Node::And(Box::new(node), Box::new(self.not()?));
        }
        Ok(node)
    }

    fn not(&mut self) -> Result<Node, Diagnostic> {
        if self.take("not") {
            return Ok(Node::Not(Box::new(self.not()?)));
        }
        let Some((start, word)) = self.peek() else {
            let remedy = "write a tag, as in `@F6.5 and not @slow`".to_owned();
            return Err(complain(
                self.text.len(),
                "a tag is missing".to_owned(),
                Some(remedy),
            ));
        };
        self.next += 1;
        if word == "(" {
            let inner = self.or()?;
            if !self.take(")") {
                let message = "this bracket is never closed".to_owned();
                return Err(complain(start, message, Some("add `)`".to_owned())));
            }
            return Ok(inner);
        }
        match word.strip_prefix('@').filter(|name| !name.is_empty()) {
            Some(name) => Ok(Node::Tag(name.to_owned())),
            None => {
                let message = format!("`{word}` is not a tag");
                let remedy = match ["and", "or", "not", ")"].contains(&word) {
                    true => "a tag must stand before it".to_owned(),
                    false => format!("write `@{word}`"),
                };
                Err(complain(start, message, Some(remedy)))
            }
        }
    }
}

/// Words with the bytes where they begin; brackets are words of their own.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = None;
    for (index, character) in text.char_indices() {
        let ends = character.is_whitespace() || character == '(' || character == ')';
        if ends && let Some(begun) = start.take() {
            words.push((begun, &text[begun..index]));
        }
        if character == '(' || character == ')' {
            words.push((index, &text[index..=index]));
        } else if !ends && start.is_none() {
            start = Some(index);
        }
    }
    words.extend(start.map(|begun| (begun, &text[begun..])));
    words
}

fn unknown_tag(start: usize, name: &str, vocabulary: &Vocabulary<'_>) -> Option<Diagnostic> {
    let names_defence_only = name
        .strip_prefix("without:")
        .is_some_and(|defence| vocabulary.topology.defences.contains_key(defence));
    if names_defence_only {
        return None;
    }
    let (_, message, remedy) = tags::complaint(name, vocabulary)?;
    Some(complain(start, message, remedy))
}

fn complain(start: usize, message: String, remedy: Option<String>) -> Diagnostic {
    Diagnostic {
        line: 1,
        column: start + 1,
        ..Diagnostic::whole("--tags", message, remedy)
    }
}
