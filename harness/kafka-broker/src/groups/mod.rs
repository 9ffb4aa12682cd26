//! Consumer groups by Kafka's classic protocol: joining, rebalancing, heartbeats, expulsion, offsets.

mod group;
mod join;
mod member;
mod offsets;
mod rebalance;
mod subscription;
#[cfg(test)]
mod tests;

pub(crate) use group::Group;
pub use group::GroupState;
pub(crate) use join::{JoinRefused, JoinRequest, Joined};
pub(crate) use member::Member;
pub(crate) use offsets::{Committed, Committer};
pub(crate) use rebalance::SyncRequest;
pub(crate) use subscription::{assigned_partitions, subscribed_topics};

use kafka_protocol::error::ResponseError;
use std::collections::BTreeMap;
use std::time::Instant;

/// All groups, by name.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    by_name: BTreeMap<String, Group>,
}

impl Groups {
    pub(crate) fn get(&self, name: &str) -> Option<&Group> {
        self.by_name.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Group> {
        self.by_name.get_mut(name)
    }

    pub(crate) fn get_or_create(&mut self, name: &str) -> &mut Group {
        self.by_name.entry(name.to_owned()).or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.by_name
            .iter()
            .map(|(name, group)| (name.as_str(), group))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Group)> {
        self.by_name
            .iter_mut()
            .map(|(name, group)| (name.as_str(), group))
    }

    /// Refuses a group that would be one too many.
    pub(crate) fn check_room(&self, name: &str, most: usize) -> Result<(), ResponseError> {
        if self.by_name.len() < most || self.by_name.contains_key(name) {
            return Ok(());
        }
        tracing::warn!(group = %name, limit = most, "group refused: the broker's limit is reached");
        Err(ResponseError::PolicyViolation)
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// Forgets all offsets of a deleted topic.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        for group in self.by_name.values_mut() {
            group.offsets.retain(|(name, _), _| name != topic);
        }
    }

    /// Lets every timer that is due act.
    pub(crate) fn advance(&mut self, now: Instant) {
        for (name, group) in &mut self.by_name {
            for member in group.expel_overdue(now) {
                tracing::info!(group = %name, member = %member, "member expelled: its session timed out");
            }
            group.advance(now);
        }
    }

    /// When the next timer is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_name.values().filter_map(Group::next_deadline).min()
    }
}
