//! Rules that hurt single requests inside the broker, and counts of how often each did.

use crate::error::BrokerError;
use crate::protocol::speaks;
use kafka_protocol::messages::ApiKey;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What happens to a request that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAction {
    /// It has no effect and is answered with this Kafka error code.
    Error(i16),
    /// It has its effect at once; its answer comes this much later.
    Delay(Duration),
    /// It has its effect; instead of the answer the connection is closed.
    LoseAnswer,
    /// It has no effect and the connection is closed.
    Refuse,
    /// It has its effect; the answer asks the client to be quiet for this long (Produce and Fetch only).
    Throttle(Duration),
}

/// Which requests are hurt, how, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    /// The API whose requests match.
    pub api: ApiKey,
    /// Only requests on the listener of this name; `None` means any.
    pub listener: Option<String>,
    /// Only requests that name this topic; `None` means any.
    pub topic: Option<String>,
    /// Only requests that name this consumer group; `None` means any.
    pub group: Option<String>,
    /// How many requests are hurt before the rule is spent; `None` means all.
    pub times: Option<u64>,
    /// What is done.
    pub action: FaultAction,
}

impl FaultRule {
    /// A rule on every request of an API.
    #[must_use]
    pub fn new(api: ApiKey, action: FaultAction) -> Self {
        Self {
            api,
            listener: None,
            topic: None,
            group: None,
            times: None,
            action,
        }
    }

    /// The same rule, spent after so many requests.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }
}

/// Names a rule that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultId(u64);

/// What a request names, to compare with rules.
#[derive(Debug, Default)]
pub(crate) struct Target<'a> {
    pub(crate) topics: Vec<&'a str>,
    pub(crate) groups: Vec<&'a str>,
}

/// All rules of a broker.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Mutex<Rules>,
}

#[derive(Debug, Default)]
struct Rules {
    added: u64,
    active: Vec<ActiveRule>,
}

#[derive(Debug)]
struct ActiveRule {
    id: FaultId,
    rule: FaultRule,
    acted: u64,
}

/// APIs whose answers have a place for an injected error.
const WITH_ERRORS: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::SyncGroup,
    ApiKey::Heartbeat,
    ApiKey::InitProducerId,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::TxnOffsetCommit,
    ApiKey::EndTxn,
];

impl Faults {
    /// Adds a rule; earlier rules go first.
    pub(crate) fn add(&self, rule: FaultRule) -> Result<FaultId, BrokerError> {
        let unsupported = |action| {
            Err(BrokerError::UnsupportedFault {
                api: rule.api,
                action,
            })
        };
        match rule.action {
            _ if !speaks(rule.api) => {
                return unsupported("act, because the broker does not speak it");
            }
            FaultAction::Error(_) if !WITH_ERRORS.contains(&rule.api) => {
                return unsupported("answer with an error");
            }
            FaultAction::Throttle(_) if !matches!(rule.api, ApiKey::Produce | ApiKey::Fetch) => {
                return unsupported("throttle");
            }
            _ => {}
        }
        let mut rules = self.rules();
        rules.added += 1;
        let id = FaultId(rules.added);
        rules.active.push(ActiveRule { id, rule, acted: 0 });
        Ok(id)
    }

    /// Removes a rule and returns how often it acted; `None` if there is no such rule.
    pub(crate) fn remove(&self, id: FaultId) -> Option<u64> {
        let mut rules = self.rules();
        let at = rules.active.iter().position(|active| active.id == id)?;
        Some(rules.active.remove(at).acted)
    }

    /// How often a rule has acted; `None` if there is no such rule.
    pub(crate) fn acted(&self, id: FaultId) -> Option<u64> {
        let rules = self.rules();
        let found = rules.active.iter().find(|active| active.id == id);
        found.map(|active| active.acted)
    }

    /// Whether no rule is left, in which case `strike` need not be asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules().active.is_empty()
    }

    /// The action of the first rule that matches, counted as acted.
    pub(crate) fn strike(
        &self,
        api: ApiKey,
        listener: &str,
        target: &Target<'_>,
    ) -> Option<FaultAction> {
        let mut rules = self.rules();
        let hit = rules
            .active
            .iter_mut()
            .find(|active| active.matches(api, listener, target))?;
        hit.acted += 1;
        Some(hit.rule.action)
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActiveRule {
    fn matches(&self, api: ApiKey, listener: &str, target: &Target<'_>) -> bool {
        let rule = &self.rule;
        let named = |wanted: &Option<String>, present: &[&str]| {
            wanted
                .as_deref()
                .is_none_or(|wanted| present.contains(&wanted))
        };
        rule.api == api
            && rule.times.is_none_or(|times| self.acted < times)
            && named(&rule.listener, &[listener])
            && named(&rule.topic, &target.topics)
            && named(&rule.group, &target.groups)
    }
}
