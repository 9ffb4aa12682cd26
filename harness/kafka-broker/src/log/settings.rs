//! The settings of a topic: the names that Kafka knows, their defaults, and the few that this broker acts on.

use crate::config::BrokerConfig;
use std::collections::BTreeMap;

pub(crate) const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
pub(crate) const RETENTION_BYTES: &str = "retention.bytes";
pub(crate) const RETENTION_MS: &str = "retention.ms";
const CLEANUP_POLICY: &str = "cleanup.policy";
const TIMESTAMP_AHEAD_MS: &str = "message.timestamp.after.max.ms";
const TIMESTAMP_BEHIND_MS: &str = "message.timestamp.before.max.ms";

/// The type of a setting, with the number that DescribeConfigs gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum SettingKind {
    Boolean = 1,
    Text = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// A setting that Kafka knows.
#[derive(Debug)]
pub(crate) struct KnownSetting {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) kind: SettingKind,
}

const fn known(name: &'static str, default: &'static str, kind: SettingKind) -> KnownSetting {
    KnownSetting {
        name,
        default,
        kind,
    }
}

const FOREVER: &str = "9223372036854775807";

/// The topic settings of Apache Kafka 4.1 with its defaults, by name.
const KNOWN: &[KnownSetting] = {
    use SettingKind::{Boolean, Double, Int, List, Long, Text};
    &[
        known(CLEANUP_POLICY, "delete", List),
        known("compression.gzip.level", "-1", Int),
        known("compression.lz4.level", "9", Int),
        known("compression.type", "producer", Text),
        known("compression.zstd.level", "3", Int),
        known("delete.retention.ms", "86400000", Long),
        known("file.delete.delay.ms", "60000", Long),
        known("flush.messages", FOREVER, Long),
        known("flush.ms", FOREVER, Long),
        known("follower.replication.throttled.replicas", "", List),
        known("index.interval.bytes", "4096", Int),
        known("leader.replication.throttled.replicas", "", List),
        known("local.retention.bytes", "-2", Long),
        known("local.retention.ms", "-2", Long),
        known("max.compaction.lag.ms", FOREVER, Long),
        known(MAX_MESSAGE_BYTES, "1048588", Int),
        known(TIMESTAMP_AHEAD_MS, "3600000", Long),
        known(TIMESTAMP_BEHIND_MS, FOREVER, Long),
        known("message.timestamp.type", "CreateTime", Text),
        known("min.cleanable.dirty.ratio", "0.5", Double),
        known("min.compaction.lag.ms", "0", Long),
        known("min.insync.replicas", "1", Int),
        known("preallocate", "false", Boolean),
        known("remote.log.copy.disable", "false", Boolean),
        known("remote.log.delete.on.disable", "false", Boolean),
        known("remote.storage.enable", "false", Boolean),
        known(RETENTION_BYTES, "-1", Long),
        known(RETENTION_MS, "604800000", Long),
        known("segment.bytes", "1073741824", Int),
        known("segment.index.bytes", "10485760", Int),
        known("segment.jitter.ms", "0", Long),
        known("segment.ms", "604800000", Long),
        known("unclean.leader.election.enable", "false", Boolean),
    ]
};

/// Why a setting was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingError {
    /// Kafka has no such setting.
    #[error("unknown topic config name: {0}")]
    Unknown(String),
    /// The value is none of this setting.
    #[error("invalid value {value:?} for {name}: it must be {wanted}")]
    Value {
        name: &'static str,
        value: String,
        wanted: &'static str,
    },
    /// Something was to be added to or taken from a setting that is no list.
    #[error("{0} is not a list, so nothing can be appended to it or subtracted from it")]
    NoList(&'static str),
}

/// The settings of one topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicSettings {
    /// Values that the broker's configuration sets for every topic.
    defaults: BTreeMap<&'static str, String>,
    /// Values that were set on this topic.
    own: BTreeMap<&'static str, String>,
    /// Largest batch in bytes.
    pub(crate) max_message_bytes: usize,
    /// Bytes kept in each partition.
    pub(crate) retention_bytes: Option<usize>,
    /// How long records are kept.
    pub(crate) retention_ms: Option<i64>,
    /// How far a record's time may lie before and after the broker's.
    pub(crate) timestamp_bounds_ms: (i64, i64),
}

impl TopicSettings {
    /// The settings of a topic on which nothing was set.
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let retention = config.retention.map_or(-1, |kept| {
            i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)
        });
        let bytes = config
            .retention_bytes
            .map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
        let mut settings = Self {
            defaults: BTreeMap::from([
                (MAX_MESSAGE_BYTES, config.max_message_bytes.to_string()),
                (RETENTION_BYTES, bytes),
                (RETENTION_MS, retention.to_string()),
            ]),
            own: BTreeMap::new(),
            max_message_bytes: 0,
            retention_bytes: None,
            retention_ms: None,
            timestamp_bounds_ms: (0, 0),
        };
        settings.take_effect();
        settings
    }

    /// Sets a value on the topic.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let setting = find(name)?;
        check(setting, value)?;
        self.own.insert(setting.name, value.to_owned());
        self.take_effect();
        Ok(())
    }

    /// Takes a value off the topic; the default holds again.
    pub(crate) fn unset(&mut self, name: &str) -> Result<(), SettingError> {
        self.own.remove(find(name)?.name);
        self.take_effect();
        Ok(())
    }

    /// Takes every value off the topic.
    pub(crate) fn unset_all(&mut self) {
        self.own.clear();
        self.take_effect();
    }

    /// Adds items to a list, or with `remove` takes them away.
    pub(crate) fn change_list(
        &mut self,
        name: &str,
        items: &str,
        remove: bool,
    ) -> Result<(), SettingError> {
        let setting = find(name)?;
        if setting.kind != SettingKind::List {
            return Err(SettingError::NoList(setting.name));
        }
        let current = self.value(setting);
        let mut list: Vec<&str> = split(&current).collect();
        for item in split(items) {
            if remove {
                list.retain(|known| *known != item);
            } else if !list.contains(&item) {
                list.push(item);
            }
        }
        self.set(setting.name, &list.join(","))
    }

    /// Every setting with its value, and where the value comes from.
    pub(crate) fn values(
        &self,
    ) -> impl Iterator<Item = (&'static KnownSetting, String, SettingSource)> {
        KNOWN.iter().map(|setting| {
            let value = self.value(setting);
            let source = if self.own.contains_key(setting.name) {
                SettingSource::Topic
            } else if value == setting.default {
                SettingSource::Default
            } else {
                SettingSource::Broker
            };
            (setting, value, source)
        })
    }

    /// Whether records are only ever compacted away, never deleted by offset.
    pub(crate) fn only_compacts(&self) -> bool {
        self.own.get(CLEANUP_POLICY).map(String::as_str) == Some("compact")
    }

    fn value(&self, setting: &KnownSetting) -> String {
        let set = self.own.get(setting.name);
        set.or_else(|| self.defaults.get(setting.name))
            .cloned()
            .unwrap_or_else(|| setting.default.to_owned())
    }

    fn take_effect(&mut self) {
        let number = |name: &str| -> i64 {
            let setting = KNOWN.iter().find(|setting| setting.name == name);
            // Every value was checked when it was set; the defaults are numbers.
            setting.map_or(-1, |setting| self.value(setting).parse().unwrap_or(-1))
        };
        let limit = usize::try_from(number(MAX_MESSAGE_BYTES)).unwrap_or(0);
        let retention_bytes = usize::try_from(number(RETENTION_BYTES)).ok();
        let retention_ms = Some(number(RETENTION_MS)).filter(|&kept| kept >= 0);
        let bounds = (number(TIMESTAMP_BEHIND_MS), number(TIMESTAMP_AHEAD_MS));
        self.max_message_bytes = limit;
        self.retention_bytes = retention_bytes;
        self.retention_ms = retention_ms;
        self.timestamp_bounds_ms = bounds;
    }
}

/// Where the value of a setting comes from, with the number that DescribeConfigs gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum SettingSource {
    Topic = 1,
    Broker = 4,
    Default = 5,
}

fn find(name: &str) -> Result<&'static KnownSetting, SettingError> {
    KNOWN
        .iter()
        .find(|setting| setting.name == name)
        .ok_or_else(|| SettingError::Unknown(name.to_owned()))
}

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn check(setting: &'static KnownSetting, value: &str) -> Result<(), SettingError> {
    let (right, wanted) = match (setting.name, setting.kind) {
        (RETENTION_BYTES | RETENTION_MS, _) => (
            value.parse::<i64>().is_ok_and(|number| number >= -1),
            "a whole number of at least -1",
        ),
        (MAX_MESSAGE_BYTES, _) => (
            value.parse::<i32>().is_ok_and(|number| number >= 0),
            "a whole number from 0 to 2147483647",
        ),
        (TIMESTAMP_AHEAD_MS | TIMESTAMP_BEHIND_MS, _) => (
            value.parse::<i64>().is_ok_and(|number| number >= 0),
            "a whole number of at least 0",
        ),
        (CLEANUP_POLICY, _) => (
            split(value).all(|policy| matches!(policy, "delete" | "compact")),
            "a list of delete and compact",
        ),
        ("compression.type", _) => (
            matches!(
                value,
                "uncompressed" | "zstd" | "lz4" | "snappy" | "gzip" | "producer"
            ),
            "uncompressed, zstd, lz4, snappy, gzip or producer",
        ),
        ("message.timestamp.type", _) => (
            matches!(value, "CreateTime" | "LogAppendTime"),
            "CreateTime or LogAppendTime",
        ),
        ("min.insync.replicas", _) => (
            value.parse::<i32>().is_ok_and(|number| number >= 1),
            "a whole number of at least 1",
        ),
        (_, SettingKind::Boolean) => (matches!(value, "true" | "false"), "true or false"),
        (_, SettingKind::Int) => (value.parse::<i32>().is_ok(), "a 32-bit whole number"),
        (_, SettingKind::Long) => (value.parse::<i64>().is_ok(), "a 64-bit whole number"),
        (_, SettingKind::Double) => (value.parse::<f64>().is_ok(), "a number"),
        (_, SettingKind::Text | SettingKind::List) => (true, "text"),
    };
    if right {
        return Ok(());
    }
    Err(SettingError::Value {
        name: setting.name,
        value: value.to_owned(),
        wanted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TopicSettings {
        TopicSettings::new(&BrokerConfig::default())
    }

    #[test]
    fn the_defaults_are_values_of_their_settings_and_sorted() {
        for setting in KNOWN {
            assert_eq!(check(setting, setting.default), Ok(()), "{}", setting.name);
        }
        assert!(KNOWN.is_sorted_by_key(|setting| setting.name));
    }

    #[test]
    fn a_value_takes_effect_and_ends_with_it() {
        let mut settings = settings();
        settings.set(RETENTION_MS, "5000").expect("set");
        settings.set(MAX_MESSAGE_BYTES, "10").expect("set");
        assert_eq!(
            (settings.retention_ms, settings.max_message_bytes),
            (Some(5000), 10)
        );
        settings.unset(RETENTION_MS).expect("unset");
        assert_eq!(settings.retention_ms, None);
        settings.unset_all();
        assert_eq!(settings.max_message_bytes, 1_048_588);
    }

    #[test]
    fn unknown_names_and_wrong_values_are_refused_and_change_nothing() {
        let mut settings = settings();
        for (name, value) in [
            ("retention", "1"),
            (RETENTION_MS, "-2"),
            (RETENTION_BYTES, "many"),
            (MAX_MESSAGE_BYTES, "-1"),
            (CLEANUP_POLICY, "forget"),
            ("preallocate", "yes"),
            ("compression.type", "zip"),
            ("min.insync.replicas", "0"),
        ] {
            settings.set(name, value).expect_err(name);
        }
        assert!(settings.own.is_empty());
    }

    #[test]
    fn items_are_added_to_and_taken_from_lists_only() {
        let mut settings = settings();
        settings
            .change_list(CLEANUP_POLICY, "compact", false)
            .expect("appended");
        assert!(!settings.only_compacts());
        settings
            .change_list(CLEANUP_POLICY, "delete", true)
            .expect("subtracted");
        assert!(settings.only_compacts());
        assert_eq!(
            settings.change_list(RETENTION_MS, "1", false),
            Err(SettingError::NoList(RETENTION_MS))
        );
    }
}
