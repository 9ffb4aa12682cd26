//! The rebalance itself: waiting for all members, choosing leader and strategy, SyncGroup.

use super::group::{Group, GroupState, InitialWait};
use super::member::{Member, SyncAnswer};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A SyncGroup request.
#[derive(Clone, Debug)]
pub(crate) struct SyncRequest {
    pub(crate) member_id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<StrBytes>,
    pub(crate) protocol: Option<StrBytes>,
    /// The leader's plan: each member's assignment.
    pub(crate) assignments: Vec<(StrBytes, Bytes)>,
}

impl Group {
    /// Starts the rebalance of a group that was empty: it waits a little for further members.
    pub(super) fn prepare_first(&mut self, delay: Duration, now: Instant) {
        let latest = now + self.longest_rebalance_timeout();
        self.initial = Some(InitialWait {
            step: delay,
            latest,
        });
        self.deadline = Some((now + delay).min(latest));
        self.state = GroupState::PreparingRebalance;
    }

    /// One more member joined during that wait: it begins again.
    pub(super) fn put_off_first(&mut self, now: Instant) {
        if let Some(wait) = self.initial {
            self.deadline = Some((now + wait.step).min(wait.latest));
        }
    }

    /// Starts a rebalance: members learn of it at their next heartbeat and join again.
    pub(super) fn prepare(&mut self, now: Instant) {
        for member in &mut self.members {
            if let Some(reply) = member.sync.take() {
                let _ = reply.send(Err(ResponseError::RebalanceInProgress));
            }
        }
        self.initial = None;
        self.deadline = Some(now + self.longest_rebalance_timeout());
        self.state = GroupState::PreparingRebalance;
    }

    /// Nobody is left: the next member starts a new generation.
    pub(super) fn become_empty(&mut self) {
        self.state = GroupState::Empty;
        self.generation += 1;
        self.protocol = StrBytes::new();
        self.leader = StrBytes::new();
        self.deadline = None;
        self.initial = None;
    }

    /// Goes on as far as the members and the time allow.
    pub(crate) fn advance(&mut self, now: Instant) {
        let due = self.deadline.is_some_and(|deadline| deadline <= now);
        match self.state {
            GroupState::PreparingRebalance => {
                let all_joined =
                    self.pending.is_empty() && self.members.iter().all(Member::awaits_join);
                if due || self.initial.is_none() && all_joined {
                    self.complete_join(now);
                }
            }
            GroupState::CompletingRebalance if due => self.drop_unsynced(now),
            GroupState::CompletingRebalance | GroupState::Empty | GroupState::Stable => {}
        }
    }

    /// All who joined form the next generation; the others are out, but for static members, which keep their place.
    fn complete_join(&mut self, now: Instant) {
        self.members
            .retain(|member| member.awaits_join() || member.instance_id.is_some());
        let Some(first) = self.members.iter().find(|member| member.awaits_join()) else {
            if self.members.is_empty() {
                self.become_empty();
            } else {
                self.deadline = Some(now + self.longest_rebalance_timeout());
            }
            return;
        };
        let first = first.id.clone();
        if !self.member(&self.leader).is_some_and(Member::awaits_join) {
            self.leader = first;
        }
        self.generation += 1;
        self.protocol = self.vote();
        self.state = GroupState::CompletingRebalance;
        self.initial = None;
        self.deadline = Some(now + self.longest_rebalance_timeout());
        let ids: Vec<StrBytes> = self
            .members
            .iter()
            .map(|member| member.id.clone())
            .collect();
        for id in ids {
            let joined = self.joined(&id);
            let Some(member) = self.member_mut(&id) else {
                continue;
            };
            member.assignment = Bytes::new();
            if let Some(reply) = member.join.take() {
                member.last_seen = now;
                let _ = reply.send(Ok(joined));
            }
        }
    }

    /// The strategy that most members like best among those that all of them know.
    fn vote(&self) -> StrBytes {
        let Some(first) = self.members.first() else {
            return StrBytes::new();
        };
        let known_to_all =
            |name: &StrBytes| self.members.iter().all(|member| member.supports(name));
        let candidates: Vec<&StrBytes> = first
            .protocols
            .iter()
            .map(|(name, _)| name)
            .filter(|name| known_to_all(name))
            .collect();
        let favourite = |member: &Member| {
            member
                .protocols
                .iter()
                .map(|(name, _)| name)
                .find(|name| candidates.contains(name))
                .cloned()
        };
        let votes: Vec<StrBytes> = self.members.iter().filter_map(favourite).collect();
        let count = |name: &StrBytes| votes.iter().filter(|vote| *vote == name).count();
        // The last of equals wins in `max_by_key`, hence the reversal: the first member's preference decides a tie.
        let winner = candidates.into_iter().rev().max_by_key(|name| count(name));
        winner.cloned().unwrap_or_default()
    }

    /// The rebalance timeout passed without an assignment: whoever did not ask for one is out.
    fn drop_unsynced(&mut self, now: Instant) {
        self.members.retain(Member::awaits_sync);
        if self.members.is_empty() {
            self.become_empty();
        } else {
            self.prepare(now);
        }
    }

    /// A member asks for its assignment; the leader brings everybody's.
    pub(crate) fn sync(
        &mut self,
        request: SyncRequest,
        now: Instant,
    ) -> Result<oneshot::Receiver<SyncAnswer>, ResponseError> {
        let id = request.member_id;
        self.hear(&id, request.instance_id.as_ref(), request.generation, now)?;
        let differs = |named: Option<StrBytes>, current: &StrBytes| {
            named.is_some_and(|named| named != *current)
        };
        if differs(request.protocol_type, &self.protocol_type)
            || differs(request.protocol, &self.protocol)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let (leads, state) = (self.leader == id, self.state);
        let member = self.member_mut(&id).ok_or(ResponseError::UnknownMemberId)?;
        let (reply, answer) = oneshot::channel();
        match state {
            GroupState::Empty => return Err(ResponseError::UnknownMemberId),
            GroupState::PreparingRebalance => return Err(ResponseError::RebalanceInProgress),
            GroupState::Stable => {
                let _ = reply.send(Ok(member.assignment.clone()));
            }
            GroupState::CompletingRebalance => {
                member.sync = Some(reply);
                if leads {
                    self.distribute(request.assignments, now);
                }
            }
        }
        Ok(answer)
    }

    fn distribute(&mut self, assignments: Vec<(StrBytes, Bytes)>, now: Instant) {
        for (id, assignment) in assignments {
            if let Some(member) = self.member_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.state = GroupState::Stable;
        self.deadline = None;
        for member in &mut self.members {
            if let Some(reply) = member.sync.take() {
                member.last_seen = now;
                let _ = reply.send(Ok(member.assignment.clone()));
            }
        }
    }

    fn longest_rebalance_timeout(&self) -> Duration {
        let timeouts = self.members.iter().map(|member| member.rebalance_timeout);
        timeouts.max().unwrap_or_default()
    }
}
