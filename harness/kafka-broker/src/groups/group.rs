//! The state of one group, and the small requests on it: heartbeat, leave, delete.

use super::member::Member;
use super::offsets::Committed;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Where a group stands, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// It has no members.
    Empty,
    /// It waits for its members to join again.
    PreparingRebalance,
    /// All have joined; it waits for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
}

impl GroupState {
    /// Kafka's name of the state.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// Until when the first rebalance of an empty group may be put off.
#[derive(Clone, Copy, Debug)]
pub(super) struct InitialWait {
    pub(super) step: Duration,
    pub(super) latest: Instant,
}

/// A consumer group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) state: GroupState,
    pub(crate) generation: i32,
    pub(crate) protocol_type: StrBytes,
    /// The assignment strategy all members agreed on.
    pub(crate) protocol: StrBytes,
    pub(crate) leader: StrBytes,
    pub(crate) members: Vec<Member>,
    /// Ids given out by a JoinGroup that are yet to join, and when they lapse.
    pub(super) pending: HashMap<StrBytes, Instant>,
    /// When PreparingRebalance or CompletingRebalance ends at the latest.
    pub(super) deadline: Option<Instant>,
    pub(super) initial: Option<InitialWait>,
    pub(crate) offsets: BTreeMap<(String, i32), Committed>,
    /// State and generation that the watchers of events were last told.
    pub(crate) published: (GroupState, i32),
}

impl Default for Group {
    fn default() -> Self {
        Self {
            state: GroupState::Empty,
            generation: 0,
            protocol_type: StrBytes::new(),
            protocol: StrBytes::new(),
            leader: StrBytes::new(),
            members: Vec::new(),
            pending: HashMap::new(),
            deadline: None,
            initial: None,
            offsets: BTreeMap::new(),
            published: (GroupState::Empty, 0),
        }
    }
}

impl Group {
    pub(crate) fn member(&self, id: &StrBytes) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    pub(super) fn member_mut(&mut self, id: &StrBytes) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == *id)
    }

    pub(super) fn with_instance(&mut self, instance: &StrBytes) -> Option<&mut Member> {
        let is = |member: &&mut Member| member.instance_id.as_ref() == Some(instance);
        self.members.iter_mut().find(is)
    }

    /// Checks that a request comes from a present member of the current generation, and notes that it was heard of.
    pub(super) fn hear(
        &mut self,
        id: &StrBytes,
        instance: Option<&StrBytes>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let current = self.generation;
        let member = self.identify(id, instance)?;
        if generation != current {
            return Err(ResponseError::IllegalGeneration);
        }
        member.last_seen = now;
        Ok(())
    }

    /// The member of this id; one whose instance id nobody has is unknown, one that another process replaced is fenced.
    pub(super) fn identify(
        &mut self,
        id: &StrBytes,
        instance: Option<&StrBytes>,
    ) -> Result<&mut Member, ResponseError> {
        if let Some(instance) = instance {
            let member = self.with_instance(instance);
            let member = member.ok_or(ResponseError::UnknownMemberId)?;
            if member.id != *id {
                return Err(ResponseError::FencedInstanceId);
            }
        }
        self.member_mut(id).ok_or(ResponseError::UnknownMemberId)
    }

    /// A heartbeat: Ok, or why the member must join again.
    pub(crate) fn heartbeat(
        &mut self,
        id: &StrBytes,
        instance: Option<&StrBytes>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.hear(id, instance, generation, now)?;
        match self.state {
            GroupState::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// A member leaves, named by its id or, if that is empty, by its instance id.
    pub(crate) fn leave(
        &mut self,
        id: &StrBytes,
        instance: Option<&StrBytes>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if self.pending.remove(id).is_some() {
            self.advance(now);
            return Ok(());
        }
        let leaving = match instance.filter(|_| id.is_empty()) {
            Some(instance) => self
                .with_instance(instance)
                .map(|member| member.id.clone())
                .ok_or(ResponseError::UnknownMemberId)?,
            None => self.identify(id, instance)?.id.clone(),
        };
        self.remove(|member| member.id == leaving, now);
        Ok(())
    }

    /// Removes all members: each learns at its next request that it is unknown, and joins anew.
    pub(crate) fn expel_all(&mut self, now: Instant) {
        self.remove(|_| true, now);
    }

    /// Removes the members whose session has ended, and returns their ids.
    pub(crate) fn expel_overdue(&mut self, now: Instant) -> Vec<StrBytes> {
        self.pending.retain(|_, lapses| *lapses > now);
        let overdue = |member: &Member| member.session_ends().is_some_and(|end| end <= now);
        self.remove(overdue, now)
    }

    fn remove(&mut self, leaves: impl Fn(&Member) -> bool, now: Instant) -> Vec<StrBytes> {
        let (mut gone, kept): (Vec<_>, Vec<_>) = self.members.drain(..).partition(leaves);
        self.members = kept;
        if gone.is_empty() {
            return Vec::new();
        }
        for member in &mut gone {
            member.refuse_waiting(ResponseError::UnknownMemberId);
        }
        if self.members.is_empty() {
            self.become_empty();
        } else {
            if self.state != GroupState::PreparingRebalance {
                self.prepare(now);
            }
            self.advance(now);
        }
        gone.into_iter().map(|member| member.id).collect()
    }

    /// When the next timer of this group is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let sessions = self.members.iter().filter_map(Member::session_ends);
        let pending = self.pending.values().copied();
        sessions.chain(pending).chain(self.deadline).min()
    }
}
