//! The rules in force on one proxy, the counters of the removed ones, and what else Kafka mode counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::api_key::ApiKey;
use super::request::Name;
use super::rewrite::TopicIds;
use super::rule::{
    self, KafkaRule, KafkaRuleCounts, KafkaRuleError, KafkaRuleHandle, RuleCounters,
};
use crate::counters::Count;
use crate::proxy::locked;

/// How many topic ids are remembered; rules about further topics do not apply to requests by id.
const MAX_TOPIC_IDS: usize = 100_000;

/// One rule in force, shared by all connections.
#[derive(Debug)]
pub(crate) struct RuleEntry {
    pub(super) id: u64,
    pub(super) api: ApiKey,
    pub(crate) rule: KafkaRule,
    pub(super) counters: Arc<RuleCounters>,
    left: AtomicU64,
    in_force: std::sync::atomic::AtomicBool,
}

impl RuleEntry {
    /// True if the rule still acts; takes one off the number of times that it may.
    pub(super) fn acts(&self) -> bool {
        let acts = self.in_force.load(Ordering::Acquire)
            && self
                .left
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
        if acts {
            self.counters.acted.add(1);
        }
        acts
    }

    /// True if the rule may still act on a later request.
    pub(super) fn may_act(&self) -> bool {
        self.left.load(Ordering::Acquire) > 0
    }
}

/// What Kafka mode counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaCounts {
    /// Requests by API.
    pub requests: BTreeMap<String, u64>,
    /// Bytes of request and answer frames that were complete.
    pub frame_bytes: u64,
    /// Answers in which addresses or offered versions were replaced.
    pub rewritten: u64,
    /// Connections closed because a frame broke the protocol, or would have led around the proxy.
    pub broken: u64,
    /// By the rule's name: those in force, and those that were removed (until the name is used again).
    pub rules: BTreeMap<String, KafkaRuleCounts>,
}

/// Rules and counters of one proxy in Kafka mode.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    state: Mutex<State>,
    /// Which topic has which id, learnt from answers to Metadata.
    topic_names: Mutex<BTreeMap<[u8; 16], String>>,
    requests: Mutex<BTreeMap<ApiKey, u64>>,
    pub(super) frame_bytes: Count,
    pub(super) rewritten: Count,
    pub(crate) broken: Count,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    in_force: Vec<Arc<RuleEntry>>,
    removed: Vec<Arc<RuleEntry>>,
}

impl Rules {
    pub(crate) fn add(&self, rule: KafkaRule) -> Result<KafkaRuleHandle, KafkaRuleError> {
        let api = rule::validate(&rule)?;
        let mut state = locked(&self.state);
        if state
            .in_force
            .iter()
            .any(|entry| entry.rule.name == rule.name)
        {
            return Err(KafkaRuleError::AlreadyExists);
        }
        state.removed.retain(|entry| entry.rule.name != rule.name);
        state.next_id += 1;
        let counters = Arc::new(RuleCounters::default());
        let handle = KafkaRuleHandle {
            name: rule.name.clone(),
            counters: Arc::clone(&counters),
        };
        let entry = RuleEntry {
            id: state.next_id,
            api,
            left: AtomicU64::new(rule.times.unwrap_or(u64::MAX)),
            rule,
            counters,
            in_force: true.into(),
        };
        state.in_force.push(Arc::new(entry));
        Ok(handle)
    }

    pub(crate) fn remove(
        &self,
        name: &str,
        remembered: usize,
    ) -> Result<Arc<RuleEntry>, KafkaRuleError> {
        let mut state = locked(&self.state);
        let place = state
            .in_force
            .iter()
            .position(|entry| entry.rule.name == name)
            .ok_or(KafkaRuleError::NotFound)?;
        let entry = state.in_force.remove(place);
        entry.in_force.store(false, Ordering::Release);
        state.removed.push(Arc::clone(&entry));
        let too_many = state.removed.len().saturating_sub(remembered);
        state.removed.drain(..too_many);
        Ok(entry)
    }

    pub(crate) fn rules(&self) -> Vec<KafkaRule> {
        locked(&self.state)
            .in_force
            .iter()
            .map(|entry| entry.rule.clone())
            .collect()
    }

    /// The rules about this API that may still act, in the order in which they were added.
    pub(super) fn about(&self, api: ApiKey) -> Vec<Arc<RuleEntry>> {
        let state = locked(&self.state);
        state
            .in_force
            .iter()
            .filter(|entry| entry.api == api && entry.may_act())
            .map(Arc::clone)
            .collect()
    }

    /// Keeps what an answer told about topics.
    pub(super) fn learn(&self, topics: TopicIds) {
        let mut names = locked(&self.topic_names);
        for (id, name) in topics {
            if names.len() < MAX_TOPIC_IDS || names.contains_key(&id) {
                names.insert(id, name);
            }
        }
    }

    /// True if the request's topic has this name.
    pub(super) fn is_named(&self, topic: &Name, name: &str) -> bool {
        match topic {
            Name::Text(text) => text == name,
            Name::Id(id) => locked(&self.topic_names)
                .get(id)
                .is_some_and(|known| known == name),
        }
    }

    pub(super) fn count_request(&self, api: ApiKey) {
        *locked(&self.requests).entry(api).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> KafkaCounts {
        let state = locked(&self.state);
        let all = state.removed.iter().chain(&state.in_force);
        KafkaCounts {
            requests: locked(&self.requests)
                .iter()
                .map(|(api, count)| (api.to_string(), *count))
                .collect(),
            frame_bytes: self.frame_bytes.get(),
            rewritten: self.rewritten.get(),
            broken: self.broken.get(),
            rules: all
                .map(|entry| (entry.rule.name.clone(), entry.counters.snapshot()))
                .collect(),
        }
    }
}
