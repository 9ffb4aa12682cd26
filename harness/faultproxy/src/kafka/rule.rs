//! Rules: what is done to which Kafka requests.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::answer;
use super::api_key::ApiKey;
use crate::counters::Count;
use crate::toxic::LONGEST_WAIT_MS;

/// What a rule does to a request that it applies to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", deny_unknown_fields)]
pub enum KafkaAction {
    /// The broker does what it was asked; its answer is swallowed and the connection closed on both sides.
    LoseAnswer,
    /// The broker does what it was asked; its answer comes this much later, in milliseconds.
    Delay {
        /// How much later, in milliseconds.
        delay_ms: u64,
    },
    /// The client is told an error.
    Error {
        /// Kafka's error code, for example 6 (NOT_LEADER_OR_FOLLOWER) or 7 (REQUEST_TIMED_OUT).
        code: i16,
        /// True: the broker does what it was asked, and only then its answer is replaced. False: it never hears of it.
        /// Metadata is always answered by the broker, as the rest of the answer comes from it.
        #[serde(default)]
        applied: bool,
    },
    /// The broker never hears of it: the connection is closed on both sides when the request arrives.
    RefuseRequest,
}

/// What is done to which Kafka requests on one link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaRule {
    /// Unique on its proxy.
    pub name: String,
    /// The API as Kafka's documentation names it, for example `Produce`.
    pub api: String,
    /// Only requests that name this topic. For Produce, Fetch, ListOffsets, Metadata, OffsetCommit and OffsetFetch.
    #[serde(default)]
    pub topic: Option<String>,
    /// The share of those requests, 0.0..=1.0, drawn from the proxy's seed.
    #[serde(default = "all")]
    pub share: f64,
    /// How often it acts at most; `None` for no end.
    #[serde(default)]
    pub times: Option<u64>,
    /// What is done.
    pub action: KafkaAction,
}

fn all() -> f64 {
    1.0
}

impl KafkaRule {
    /// A rule on every request of an API, without an end.
    pub fn new(name: impl Into<String>, api: impl Into<String>, action: KafkaAction) -> Self {
        Self {
            name: name.into(),
            api: api.into(),
            topic: None,
            share: 1.0,
            times: None,
            action,
        }
    }
}

/// Why a rule was not added or removed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KafkaRuleError {
    /// The proxy does not read Kafka frames.
    #[error("the proxy is not in Kafka mode")]
    NotKafka,
    /// The name is taken on this proxy.
    #[error("kafka rule already exists")]
    AlreadyExists,
    /// No rule of that name is in force.
    #[error("kafka rule not found")]
    NotFound,
    /// The rule has no meaning; the text says why.
    #[error("bad kafka rule: {0}")]
    Invalid(String),
}

/// What one rule has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaRuleCounts {
    /// Requests that it applied to, whether or not it acted on them in the end.
    pub matched: u64,
    /// How often it really acted: an answer swallowed, delayed or replaced, a request refused.
    pub acted: u64,
}

#[derive(Debug, Default)]
pub(crate) struct RuleCounters {
    pub(crate) matched: Count,
    pub(crate) acted: Count,
}

impl RuleCounters {
    pub(crate) fn snapshot(&self) -> KafkaRuleCounts {
        KafkaRuleCounts {
            matched: self.matched.get(),
            acted: self.acted.get(),
        }
    }
}

/// A rule in force: reads its counters, also after it was removed.
#[derive(Debug, Clone)]
#[must_use = "the handle is how the fault is known to be felt; drop it only if the counters are read elsewhere"]
pub struct KafkaRuleHandle {
    pub(crate) name: String,
    pub(crate) counters: Arc<RuleCounters>,
}

impl KafkaRuleHandle {
    /// The rule's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the rule has done so far.
    pub fn counts(&self) -> KafkaRuleCounts {
        self.counters.snapshot()
    }
}

/// The APIs whose requests name topics that are read here.
const WITH_TOPICS: &[ApiKey] = &[
    ApiKey::PRODUCE,
    ApiKey::FETCH,
    ApiKey::LIST_OFFSETS,
    ApiKey::METADATA,
    ApiKey::OFFSET_COMMIT,
    ApiKey::OFFSET_FETCH,
];

/// Checks a rule and says which API it is about.
pub(super) fn validate(rule: &KafkaRule) -> Result<ApiKey, KafkaRuleError> {
    let invalid = |text: String| Err(KafkaRuleError::Invalid(text));
    if rule.name.is_empty() {
        return invalid("name is empty".to_owned());
    }
    if !(0.0..=1.0).contains(&rule.share) {
        return invalid(format!("share must be from 0.0 to 1.0, is {}", rule.share));
    }
    if matches!(rule.action, KafkaAction::Delay { delay_ms } if delay_ms > LONGEST_WAIT_MS) {
        return invalid(format!("nothing waits longer than {LONGEST_WAIT_MS} ms"));
    }
    let Some(api) = ApiKey::named(&rule.api) else {
        return invalid(format!("unknown api {:?}", rule.api));
    };
    if rule.topic.is_some() && !WITH_TOPICS.contains(&api) {
        return invalid(format!(
            "requests of {api} name no topic: known for {}",
            names(WITH_TOPICS)
        ));
    }
    let can_fail = answer::ANSWERED.contains(&api) || api == ApiKey::METADATA;
    if matches!(rule.action, KafkaAction::Error { .. }) && !can_fail {
        return invalid(format!(
            "no error answers for {api}: known for Metadata, {}",
            names(answer::ANSWERED)
        ));
    }
    Ok(api)
}

fn names(apis: &[ApiKey]) -> String {
    apis.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
