//! A TOML file whose every key and value knows its place, so that all its mistakes can be told at once.
//!
//! The shape of a file is a Rust type with `Deserialize` and `JsonSchema`: [`Document::decode`] holds the file against the
//! type's JSON Schema first (the same schema that editors get) and names every key that is unknown, lacking or of the
//! wrong type; only a file without such mistakes is deserialized.

mod shape;
mod value;

use std::{ops::Range, path::Path};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::de::DeTable;

use self::value::{Placed, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Source};

/// A TOML file that was parsed.
#[derive(Debug)]
pub struct Document {
    /// Its text.
    pub source: Source,
    root: Placed,
}

impl Document {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not TOML; every syntax error is named.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        Self::parse(Source::read(path)?)
    }

    /// Parses text that is at hand.
    ///
    /// # Errors
    /// The text is not TOML; every syntax error is named.
    pub fn parse(source: Source) -> Result<Self, Diagnostics> {
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        let found = errors
            .iter()
            .map(|error| syntax_error(&source, error))
            .collect();
        let root = Placed::table(table.span(), table.get_ref());
        Diagnostics::unless_empty((), found)?;
        Ok(Self { source, root })
    }

    /// The file as a value of `T`.
    ///
    /// # Errors
    /// The file has not the shape of `T`; every mistake is named.
    pub fn decode<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Diagnostics> {
        let schema = serde_json::Value::from(schemars::schema_for!(T));
        let found = shape::problems(&self.source, &self.root, &schema);
        Diagnostics::unless_empty((), found)?;
        let whole = |message: String| Diagnostics::from(self.complain(0..0, message, None));
        let deserializer = toml::Deserializer::parse(&self.source.text)
            .map_err(|error| Diagnostics::from(syntax_error(&self.source, &error)))?;
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let path = error.path().to_string();
            let message = format!("`{path}`: {}", error.inner().message());
            match error.inner().span() {
                Some(span) => self.complain(span, message, None).into(),
                None => whole(message),
            }
        })
    }

    /// The bytes of a key; an empty range at the start of the file when there is no such key.
    pub fn key(&self, path: &[&str]) -> Range<usize> {
        let Some((last, tables)) = path.split_last() else {
            return 0..0;
        };
        match self.root.find(tables).map(|placed| &placed.value) {
            Some(Value::Table(entries)) => {
                entries.get(*last).map_or(0..0, |entry| entry.key.clone())
            }
            _ => 0..0,
        }
    }

    /// The bytes of a value; those of the nearest table around it when there is no such value.
    pub fn value(&self, path: &[&str]) -> Range<usize> {
        match self.root.find(path) {
            Some(placed) => placed.span.clone(),
            None if path.is_empty() => 0..0,
            None => self.key(&path[..path.len() - 1]),
        }
    }

    /// The bytes of `part` inside a text value; those of the whole value when escapes hide the part.
    pub fn part(&self, path: &[&str], part: &str) -> Range<usize> {
        let value = self.value(path);
        match self.source.text[value.clone()].find(part) {
            Some(offset) => value.start + offset..value.start + offset + part.len(),
            None => value,
        }
    }

    /// A complaint about some bytes of the file.
    pub fn complain(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        remedy: Option<String>,
    ) -> Diagnostic {
        self.source.complain(span, message, remedy)
    }
}

/// The JSON Schema of a file's shape, pretty-printed, for editors.
pub fn schema<T: JsonSchema>() -> String {
    let schema = serde_json::Value::from(schemars::schema_for!(T));
    format!("{schema:#}\n")
}

fn syntax_error(source: &Source, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(source.text.len()..source.text.len());
    if error.message() == "duplicate key" {
        let key = source.text.get(span.clone()).unwrap_or_default();
        let message = format!("`{}` is there twice", key.trim_matches('"'));
        let remedy = "remove one, or give it another name";
        return source.complain(span, message, Some(remedy.to_owned()));
    }
    source.complain(
        span,
        format!("is not TOML: {}", error.message()),
        Some("see https://toml.io for the format".to_owned()),
    )
}
