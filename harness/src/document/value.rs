//! A TOML value with its place.

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A value and the bytes that it was read from.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

/// What a value is, so far as a shape can ask.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(Option<i64>),
    Float,
    Boolean,
    Datetime,
    Array(Vec<Placed>),
    Table(BTreeMap<String, Entry>),
}

/// A key's place and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Range<usize>,
    pub(super) placed: Placed,
}

impl Placed {
    pub(super) fn table(span: Range<usize>, table: &DeTable<'_>) -> Self {
        let entries = table
            .iter()
            .map(|(key, value)| {
                let entry = Entry {
                    key: key.span(),
                    placed: Self::from(value),
                };
                (key.get_ref().to_string(), entry)
            })
            .collect();
        Self {
            span,
            value: Value::Table(entries),
        }
    }

    /// A value by the keys that lead to it; elements of arrays are counted from 0.
    pub(super) fn find(&self, path: &[&str]) -> Option<&Self> {
        let Some((step, rest)) = path.split_first() else {
            return Some(self);
        };
        match &self.value {
            Value::Table(entries) => entries.get(*step)?.placed.find(rest),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?)?.find(rest),
            _ => None,
        }
    }

    /// The type's name in JSON Schema, and in words.
    pub(super) fn type_names(&self) -> (&'static str, &'static str) {
        match self.value {
            Value::Text(_) => ("string", "a text"),
            Value::Integer(_) => ("integer", "a whole number"),
            Value::Float => ("number", "a number"),
            Value::Boolean => ("boolean", "true or false"),
            Value::Datetime => ("date-time", "a date"),
            Value::Array(_) => ("array", "a list"),
            Value::Table(_) => ("object", "a table"),
        }
    }
}

impl From<&Spanned<DeValue<'_>>> for Placed {
    fn from(value: &Spanned<DeValue<'_>>) -> Self {
        let span = value.span();
        let value = match value.get_ref() {
            DeValue::Table(table) => return Self::table(span, table),
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Float(_) => Value::Float,
            DeValue::Boolean(_) => Value::Boolean,
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(items) => Value::Array(items.iter().map(Self::from).collect()),
        };
        Self { span, value }
    }
}
