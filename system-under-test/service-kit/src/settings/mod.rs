//! Typed settings from environment variables: every problem is found before anything starts.
//!
//! * [`setting`]: what can be set, as the reading of it tells.

pub mod setting;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::defences::{Defence, Defences};
use crate::names::Endpoint;

pub use setting::{Groups, Otherwise, Setting, Table};

/// Everything that is wrong with the settings, one sentence each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct SettingsError {
    /// The problems, each naming its variable.
    pub problems: Vec<String>,
}

/// Reads settings and notes what is wrong with them.
///
/// The reading methods always return a value, so that one pass finds all problems; [`Settings::read`] hands the result
/// out only when there was none.
#[derive(Debug)]
pub struct Settings {
    values: BTreeMap<String, String>,
    problems: Vec<String>,
    known: Vec<Setting>,
    group: &'static str,
}

/// A number of milliseconds up to an hour.
const MS: RangeInclusive<u64> = 0..=3_600_000;
/// A number of seconds up to a day.
const S: RangeInclusive<u64> = 0..=86_400;

impl Settings {
    /// Reads a configuration from name-value pairs.
    ///
    /// # Errors
    /// All problems at once.
    pub fn read<C>(
        values: impl IntoIterator<Item = (String, String)>,
        read: impl FnOnce(&mut Settings) -> C,
    ) -> Result<C, SettingsError> {
        let mut settings = Settings::of(values);
        let config = read(&mut settings);
        if settings.problems.is_empty() {
            Ok(config)
        } else {
            Err(SettingsError {
                problems: settings.problems,
            })
        }
    }

    /// What a reader of settings asks for, in this order and each once, found out by letting it read none.
    pub fn known<C>(read: impl FnOnce(&mut Settings) -> C) -> Vec<Setting> {
        let mut settings = Settings::of([]);
        read(&mut settings);
        let mut known: Vec<Setting> = Vec::new();
        for setting in settings.known {
            match known.iter_mut().find(|other| other.name == setting.name) {
                Some(other) if setting.otherwise == Otherwise::Refused => *other = setting,
                Some(_) => {}
                None => known.push(setting),
            }
        }
        known
    }

    fn of(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let given = values.into_iter().filter(|(_, value)| !value.is_empty());
        Self {
            values: given.collect(),
            problems: Vec::new(),
            known: Vec::new(),
            group: "",
        }
    }

    /// Reads settings that belong together, wherever they are read.
    pub fn in_group<C>(&mut self, group: &'static str, read: impl FnOnce(&mut Self) -> C) -> C {
        let around = std::mem::replace(&mut self.group, group);
        let read = read(self);
        self.group = around;
        read
    }

    fn note(
        &mut self,
        name: &str,
        accepts: impl Into<String>,
        otherwise: Otherwise,
        meaning: &str,
    ) {
        self.known.push(Setting {
            group: self.group,
            name: name.to_owned(),
            accepts: accepts.into(),
            otherwise,
            meaning: meaning.to_owned(),
        });
    }

    /// Notes a problem that the reader of the settings found itself.
    pub fn problem(&mut self, name: &str, what: impl Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).map(|value| value.trim().to_owned())
    }

    fn required_value(&mut self, name: &str, it_must_be: &str) -> Option<String> {
        let value = self.value(name);
        if value.is_none() {
            self.problem(name, format!("is missing, it must be {it_must_be}"));
        }
        value
    }

    /// A text that must be there; its meaning completes "it must be ...".
    pub fn required_text(&mut self, name: &str, meaning: &str) -> String {
        self.note(name, "text", Otherwise::Refused, meaning);
        self.required_value(name, meaning).unwrap_or_default()
    }

    /// A text, or its default; an empty default is none.
    pub fn text(&mut self, name: &str, default: &str, meaning: &str) -> String {
        let otherwise = match default {
            "" => Otherwise::None,
            _ => Otherwise::Default(default.to_owned()),
        };
        self.note(name, "text", otherwise, meaning);
        self.value(name).unwrap_or_else(|| default.to_owned())
    }

    /// A file's path that must be given; whether it can be read is seen when it is read. The meaning completes "it must
    /// be ...".
    pub fn required_path(&mut self, name: &str, meaning: &str) -> PathBuf {
        self.note(name, "a path", Otherwise::Refused, meaning);
        PathBuf::from(self.required_value(name, meaning).unwrap_or_default())
    }

    /// A file's path, if one is given; whether it can be read is seen when it is read.
    pub fn path(&mut self, name: &str, meaning: &str) -> Option<PathBuf> {
        self.note(name, "a path", Otherwise::None, meaning);
        self.value(name).map(PathBuf::from)
    }

    /// An address to listen on or to connect to, `127.0.0.1:8080`.
    pub fn required_address(&mut self, name: &str, meaning: &str) -> SocketAddr {
        let shape = "an address such as 127.0.0.1:8080";
        self.note(name, shape, Otherwise::Refused, meaning);
        let unspecified = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let Some(text) = self.required_value(name, shape) else {
            return unspecified;
        };
        text.parse().unwrap_or_else(|_| {
            self.problem(name, format!("`{text}` is not {shape}"));
            unspecified
        })
    }

    /// An address to connect to, if one is given.
    pub fn address(&mut self, name: &str, meaning: &str) -> Option<SocketAddr> {
        let shape = "an address such as 127.0.0.1:53";
        self.note(name, shape, Otherwise::None, meaning);
        let text = self.value(name)?;
        let address = text.parse().ok();
        if address.is_none() {
            self.problem(name, format!("`{text}` is not {shape}"));
        }
        address
    }

    /// Hosts and ports to connect to, separated by commas, at least one.
    pub fn required_endpoints(&mut self, name: &str, meaning: &str) -> Vec<Endpoint> {
        let shape = "hosts and ports separated by commas, 127.0.0.1:8081,127.0.0.1:8082";
        self.note(name, shape, Otherwise::Refused, meaning);
        let Some(text) = self.required_value(name, shape) else {
            return Vec::new();
        };
        let mut endpoints = Vec::new();
        let parts = text.split(',').map(str::trim);
        for part in parts.filter(|part| !part.is_empty()) {
            match part.parse() {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(what) => self.problem(name, format!("`{part}` is {what}")),
            }
        }
        if endpoints.is_empty() {
            self.problem(name, format!("must hold {shape}"));
        }
        endpoints
    }

    /// A number within a range, or its default.
    pub fn number<N>(
        &mut self,
        name: &str,
        default: N,
        range: RangeInclusive<N>,
        meaning: &str,
    ) -> N
    where
        N: FromStr + PartialOrd + Display + Copy,
    {
        let shape = span(&range);
        self.note(
            name,
            shape,
            Otherwise::Default(default.to_string()),
            meaning,
        );
        self.number_given(name, range).unwrap_or(default)
    }

    /// A number within a range, if one is given.
    pub fn optional_number<N>(
        &mut self,
        name: &str,
        range: RangeInclusive<N>,
        meaning: &str,
    ) -> Option<N>
    where
        N: FromStr + PartialOrd + Display + Copy,
    {
        self.note(name, span(&range), Otherwise::None, meaning);
        self.number_given(name, range)
    }

    fn number_given<N>(&mut self, name: &str, range: RangeInclusive<N>) -> Option<N>
    where
        N: FromStr + PartialOrd + Display + Copy,
    {
        let text = self.value(name)?;
        let number = text.parse::<N>().ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{text}` is not a number from {}", span(&range));
            self.problem(name, message);
        }
        number
    }

    /// A duration in milliseconds, from 0 up to an hour; the name ends in `_MS`.
    pub fn duration_ms(&mut self, name: &str, default_ms: u64, meaning: &str) -> Duration {
        debug_assert!(name.ends_with("_MS"), "{name} does not say its unit");
        Duration::from_millis(self.number(name, default_ms, MS, meaning))
    }

    /// A duration in seconds, from 0 up to a day; the name ends in `_S`.
    pub fn duration_s(&mut self, name: &str, default_s: u64, meaning: &str) -> Duration {
        debug_assert!(name.ends_with("_S"), "{name} does not say its unit");
        Duration::from_secs(self.number(name, default_s, S, meaning))
    }

    /// `on` or `off`.
    pub fn switch(&mut self, name: &str, default: bool, meaning: &str) -> bool {
        let otherwise = if default { "on" } else { "off" };
        let otherwise = Otherwise::Default(otherwise.to_owned());
        self.note(name, "on or off", otherwise, meaning);
        match self.value(name).as_deref() {
            None => default,
            Some("on") => true,
            Some("off") => false,
            Some(other) => {
                let message = format!("`{other}` is neither `on` nor `off`");
                self.problem(name, message);
                default
            }
        }
    }

    /// One of a few words.
    pub fn choice(
        &mut self,
        name: &str,
        default: &'static str,
        words: &[&'static str],
        meaning: &str,
    ) -> &'static str {
        let otherwise = Otherwise::Default(default.to_owned());
        self.note(name, words.join(", "), otherwise, meaning);
        let Some(text) = self.value(name) else {
            return default;
        };
        words
            .iter()
            .copied()
            .find(|word| *word == text)
            .unwrap_or_else(|| {
                self.problem(name, format!("`{text}` is none of {}", words.join(", ")));
                default
            })
    }

    /// The address of a PostgreSQL database, `postgres://user@127.0.0.1:5432/order`. Its text is never repeated in a
    /// message, as it may hold a password.
    pub fn required_database(&mut self, name: &str, meaning: &str) -> PgConnectOptions {
        let shape = "an address such as postgres://user@127.0.0.1:5432/order";
        self.note(name, shape, Otherwise::Refused, meaning);
        let placeholder = PgConnectOptions::new_without_pgpass();
        let Some(text) = self.required_value(name, shape) else {
            return placeholder;
        };
        PgConnectOptions::from_str(&text).unwrap_or_else(|_| {
            self.problem(name, format!("is not {shape}"));
            placeholder
        })
    }

    /// The defences that are on: all but those that `DEFENCES_OFF` names.
    pub fn defences<D: Defence>(&mut self) -> Defences<D> {
        let names: Vec<_> = D::ALL.iter().map(|defence| defence.name()).collect();
        let meaning = format!(
            "protections to switch off, separated by commas: {}",
            names.join(", ")
        );
        let text = self.text("DEFENCES_OFF", "", &meaning);
        Defences::parse(&text).unwrap_or_else(|unknown| {
            for problem in unknown {
                self.problem("DEFENCES_OFF", problem);
            }
            Defences::all()
        })
    }
}

/// A range as a reader of a table takes it in.
fn span<N: Display>(range: &RangeInclusive<N>) -> String {
    format!("{} to {}", range.start(), range.end())
}
