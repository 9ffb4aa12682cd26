//! Typed settings from environment variables: every problem is found before anything starts.

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
}

impl Settings {
    /// Reads a configuration from name-value pairs.
    ///
    /// # Errors
    /// All problems at once.
    pub fn read<C>(
        values: impl IntoIterator<Item = (String, String)>,
        read: impl FnOnce(&mut Settings) -> C,
    ) -> Result<C, SettingsError> {
        let values = values
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let mut settings = Settings {
            values,
            problems: Vec::new(),
        };
        let config = read(&mut settings);
        if settings.problems.is_empty() {
            Ok(config)
        } else {
            Err(SettingsError {
                problems: settings.problems,
            })
        }
    }

    /// Notes a problem that the reader of the settings found itself.
    pub fn problem(&mut self, name: &str, what: impl Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).map(|value| value.trim().to_owned())
    }

    fn required_value(&mut self, name: &str, meaning: &str) -> Option<String> {
        let value = self.value(name);
        if value.is_none() {
            self.problem(name, format!("is missing, it must be {meaning}"));
        }
        value
    }

    /// A text that must be there.
    pub fn required_text(&mut self, name: &str, meaning: &str) -> String {
        self.required_value(name, meaning).unwrap_or_default()
    }

    /// A text, or its default.
    pub fn text(&mut self, name: &str, default: &str) -> String {
        self.value(name).unwrap_or_else(|| default.to_owned())
    }

    /// A file's path that must be given; whether it can be read is seen when it is read.
    pub fn required_path(&mut self, name: &str, meaning: &str) -> PathBuf {
        PathBuf::from(self.required_text(name, meaning))
    }

    /// A file's path, if one is given; whether it can be read is seen when it is read.
    pub fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }

    /// An address to listen on or to connect to, `127.0.0.1:8080`.
    pub fn required_address(&mut self, name: &str) -> SocketAddr {
        let meaning = "an address such as 127.0.0.1:8080";
        let unspecified = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let Some(text) = self.required_value(name, meaning) else {
            return unspecified;
        };
        text.parse().unwrap_or_else(|_| {
            self.problem(name, format!("`{text}` is not {meaning}"));
            unspecified
        })
    }

    /// An address to connect to, if one is given.
    pub fn address(&mut self, name: &str) -> Option<SocketAddr> {
        let text = self.value(name)?;
        let address = text.parse().ok();
        if address.is_none() {
            self.problem(
                name,
                format!("`{text}` is not an address such as 127.0.0.1:53"),
            );
        }
        address
    }

    /// Hosts and ports to connect to, separated by commas, at least one.
    pub fn required_endpoints(&mut self, name: &str) -> Vec<Endpoint> {
        let meaning = "hosts and ports separated by commas, 127.0.0.1:8081,127.0.0.1:8082";
        let Some(text) = self.required_value(name, meaning) else {
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
            self.problem(name, format!("must hold {meaning}"));
        }
        endpoints
    }

    /// A number within a range, or its default.
    pub fn number<N>(&mut self, name: &str, default: N, range: RangeInclusive<N>) -> N
    where
        N: FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.value(name) else {
            return default;
        };
        match text.parse::<N>() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = (range.start(), range.end());
                self.problem(
                    name,
                    format!("`{text}` is not a number from {low} to {high}"),
                );
                default
            }
        }
    }

    /// A duration in milliseconds, from 0 up to an hour; the name ends in `_MS`.
    pub fn duration_ms(&mut self, name: &str, default_ms: u64) -> Duration {
        debug_assert!(name.ends_with("_MS"), "{name} does not say its unit");
        Duration::from_millis(self.number(name, default_ms, 0..=3_600_000))
    }

    /// A duration in seconds, from 0 up to a day; the name ends in `_S`.
    pub fn duration_s(&mut self, name: &str, default_s: u64) -> Duration {
        debug_assert!(name.ends_with("_S"), "{name} does not say its unit");
        Duration::from_secs(self.number(name, default_s, 0..=86_400))
    }

    /// `on` or `off`.
    pub fn switch(&mut self, name: &str, default: bool) -> bool {
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
    ) -> &'static str {
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
    pub fn required_database(&mut self, name: &str) -> PgConnectOptions {
        let meaning = "an address such as postgres://user@127.0.0.1:5432/order";
        let placeholder = PgConnectOptions::new_without_pgpass();
        let Some(text) = self.required_value(name, meaning) else {
            return placeholder;
        };
        PgConnectOptions::from_str(&text).unwrap_or_else(|_| {
            self.problem(name, format!("is not {meaning}"));
            placeholder
        })
    }

    /// The defences that are on: all but those that `DEFENCES_OFF` names.
    pub fn defences<D: Defence>(&mut self) -> Defences<D> {
        let text = self.text("DEFENCES_OFF", "");
        Defences::parse(&text).unwrap_or_else(|unknown| {
            for problem in unknown {
                self.problem("DEFENCES_OFF", problem);
            }
            Defences::all()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn good_settings_are_read_and_defaults_fill_the_rest() {
        let values = pairs(&[
            ("A", "127.0.0.1:1, 127.0.0.1:2"),
            ("T_MS", " 250 "),
            ("EMPTY", ""),
        ]);
        let (addresses, limit, number, text) = Settings::read(values, |settings| {
            (
                settings.required_endpoints("A"),
                settings.duration_ms("T_MS", 9),
                settings.number("N", 3_u32, 1..=5),
                settings.text("EMPTY", "default"),
            )
        })
        .expect("no problem");
        assert_eq!(addresses.len(), 2);
        assert_eq!(limit, Duration::from_millis(250));
        assert_eq!(number, 3);
        assert_eq!(text, "default");
    }

    #[test]
    fn all_problems_are_listed_at_once_and_secrets_are_not_repeated() {
        let values = pairs(&[
            ("LISTEN", "localhost"),
            ("N", "9"),
            ("S", "yes"),
            ("DATABASE_URL", "postgres//user:secret@host"),
        ]);
        let error = Settings::read(values, |settings| {
            settings.required_address("LISTEN");
            settings.number("N", 3_u32, 1..=5);
            settings.switch("S", true);
            settings.required_database("DATABASE_URL");
            settings.required_text("INSTANCE", "the name of this instance");
        })
        .expect_err("five problems");
        assert_eq!(error.problems.len(), 5, "{error}");
        assert!(
            error
                .to_string()
                .contains("N: `9` is not a number from 1 to 5")
        );
        assert!(error.to_string().contains("INSTANCE: is missing"));
        assert!(!error.to_string().contains("secret"));
    }
}
