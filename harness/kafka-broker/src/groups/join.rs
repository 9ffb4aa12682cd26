//! JoinGroup: who may join, and who waits for a rebalance.

use super::group::{Group, GroupState};
use super::member::Member;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A JoinGroup request.
#[derive(Clone, Debug)]
pub(crate) struct JoinRequest {
    /// Empty for a new member.
    pub(crate) member_id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) listener: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: StrBytes,
    pub(crate) protocols: Vec<(StrBytes, Bytes)>,
    /// The client knows how to join a second time with the id that it is given.
    pub(crate) knows_member_id_required: bool,
    /// Most members that the group may have.
    pub(crate) max_members: usize,
}

/// A member's part in a generation.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol_type: StrBytes,
    pub(crate) protocol: StrBytes,
    pub(crate) leader: StrBytes,
    pub(crate) member_id: StrBytes,
    /// Id, instance and subscription of every member; only the leader gets them.
    pub(crate) members: Vec<(StrBytes, Option<StrBytes>, Bytes)>,
}

/// A JoinGroup refused.
#[derive(Clone, Debug)]
pub(crate) struct JoinRefused {
    pub(crate) error: ResponseError,
    pub(crate) member_id: StrBytes,
}

/// What answers a JoinGroup.
pub(crate) type JoinAnswer = Result<Joined, JoinRefused>;

impl Group {
    /// Lets a member join. The answer comes when the rebalance is over; `new_id` names a member that has no id yet.
    pub(crate) fn join(
        &mut self,
        request: &JoinRequest,
        new_id: StrBytes,
        initial_delay: Duration,
        now: Instant,
    ) -> oneshot::Receiver<JoinAnswer> {
        let (reply, answer) = oneshot::channel();
        let checked = self
            .check_protocols(request)
            .and_then(|()| self.check_size(request));
        if let Err((error, member_id)) = checked {
            let _ = reply.send(Err(JoinRefused { error, member_id }));
            return answer;
        }
        if request.member_id.is_empty() {
            self.join_without_id(request, new_id, initial_delay, now, reply);
        } else {
            self.join_with_id(request, initial_delay, now, reply);
        }
        self.advance(now);
        answer
    }

    fn check_protocols(&self, request: &JoinRequest) -> Result<(), (ResponseError, StrBytes)> {
        let is_self = |member: &Member| {
            member.id == request.member_id
                || request.instance_id.is_some() && member.instance_id == request.instance_id
        };
        let mut others = self
            .members
            .iter()
            .filter(|member| !is_self(member))
            .peekable();
        let same_type = others.peek().is_none() || self.protocol_type == request.protocol_type;
        let others: Vec<&Member> = others.collect();
        let common = request
            .protocols
            .iter()
            .any(|(name, _)| others.iter().all(|member| member.supports(name)));
        if same_type && common && !request.protocol_type.is_empty() {
            return Ok(());
        }
        Err((
            ResponseError::InconsistentGroupProtocol,
            request.member_id.clone(),
        ))
    }

    /// A group that is full takes nobody new; whoever is known to it may join again.
    fn check_size(&self, request: &JoinRequest) -> Result<(), (ResponseError, StrBytes)> {
        let known = self.member(&request.member_id).is_some()
            || self.pending.contains_key(&request.member_id)
            || request.instance_id.is_some()
                && self
                    .members
                    .iter()
                    .any(|member| member.instance_id == request.instance_id);
        if known || self.members.len() + self.pending.len() < request.max_members {
            return Ok(());
        }
        Err((
            ResponseError::GroupMaxSizeReached,
            request.member_id.clone(),
        ))
    }

    fn join_without_id(
        &mut self,
        request: &JoinRequest,
        new_id: StrBytes,
        initial_delay: Duration,
        now: Instant,
        reply: oneshot::Sender<JoinAnswer>,
    ) {
        if let Some(instance) = &request.instance_id {
            if self.with_instance(instance).is_some() {
                self.replace_static(request, instance, new_id, now, reply);
            } else {
                self.add(request, new_id, initial_delay, now, reply);
            }
        } else if request.knows_member_id_required {
            self.pending
                .insert(new_id.clone(), now + request.session_timeout);
            let error = ResponseError::MemberIdRequired;
            let _ = reply.send(Err(JoinRefused {
                error,
                member_id: new_id,
            }));
        } else {
            self.add(request, new_id, initial_delay, now, reply);
        }
    }

    fn join_with_id(
        &mut self,
        request: &JoinRequest,
        initial_delay: Duration,
        now: Instant,
        reply: oneshot::Sender<JoinAnswer>,
    ) {
        let id = request.member_id.clone();
        if self.pending.remove(&id).is_some() {
            return self.add(request, id, initial_delay, now, reply);
        }
        match self.identify(&id, request.instance_id.as_ref()) {
            Err(error) => {
                let _ = reply.send(Err(JoinRefused {
                    error,
                    member_id: id,
                }));
            }
            Ok(_) => self.rejoin(request, &id, now, reply),
        }
    }

    fn add(
        &mut self,
        request: &JoinRequest,
        id: StrBytes,
        initial_delay: Duration,
        now: Instant,
        reply: oneshot::Sender<JoinAnswer>,
    ) {
        let mut member = Member::new(id, request, now);
        member.join = Some(reply);
        self.protocol_type = request.protocol_type.clone();
        self.members.push(member);
        match self.state {
            GroupState::Empty => self.prepare_first(initial_delay, now),
            GroupState::PreparingRebalance => self.put_off_first(now),
            GroupState::CompletingRebalance | GroupState::Stable => self.prepare(now),
        }
    }

    fn rejoin(
        &mut self,
        request: &JoinRequest,
        id: &StrBytes,
        now: Instant,
        reply: oneshot::Sender<JoinAnswer>,
    ) {
        let leads = self.leader == *id;
        let state = self.state;
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let unchanged = member.protocols == request.protocols;
        member.update(request, now);
        let current_again = match state {
            GroupState::CompletingRebalance => unchanged,
            GroupState::Stable => unchanged && !leads,
            GroupState::Empty | GroupState::PreparingRebalance => false,
        };
        if current_again {
            // Its first answer was lost: the same one again.
            let _ = reply.send(Ok(self.joined(id)));
            return;
        }
        member.join = Some(reply);
        if state != GroupState::PreparingRebalance {
            self.prepare(now);
        }
    }

    /// A static member came back under its instance id: it takes its old place, and a stable group does not rebalance.
    fn replace_static(
        &mut self,
        request: &JoinRequest,
        instance: &StrBytes,
        new_id: StrBytes,
        now: Instant,
        reply: oneshot::Sender<JoinAnswer>,
    ) {
        let old_leader = self.leader.clone();
        let state = self.state;
        let Some(member) = self.with_instance(instance) else {
            return;
        };
        member.refuse_waiting(ResponseError::FencedInstanceId);
        let old_id = std::mem::replace(&mut member.id, new_id.clone());
        let unchanged = member.protocols == request.protocols;
        member.update(request, now);
        if old_leader == old_id {
            self.leader = new_id.clone();
        }
        if state == GroupState::Stable && unchanged {
            // It is told the old leader's id, so that it does not assign partitions again.
            let joined = Joined {
                leader: old_leader,
                members: Vec::new(),
                ..self.joined(&new_id)
            };
            let _ = reply.send(Ok(joined));
            return;
        }
        if let Some(member) = self.member_mut(&new_id) {
            member.join = Some(reply);
        }
        if state != GroupState::PreparingRebalance {
            self.prepare(now);
        }
    }

    /// What this member is told about the current generation.
    pub(super) fn joined(&self, id: &StrBytes) -> Joined {
        let subscription = |member: &Member| {
            member
                .subscription(&self.protocol)
                .cloned()
                .unwrap_or_default()
        };
        let members = if self.leader == *id {
            let of = |member: &Member| {
                (
                    member.id.clone(),
                    member.instance_id.clone(),
                    subscription(member),
                )
            };
            self.members.iter().map(of).collect()
        } else {
            Vec::new()
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member_id: id.clone(),
            members,
        }
    }
}
