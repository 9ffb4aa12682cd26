//! A member of a group.

use super::join::{JoinAnswer, JoinRequest};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What answers a waiting SyncGroup: the member's assignment.
pub(crate) type SyncAnswer = Result<Bytes, ResponseError>;

/// A member, and the requests of it that wait for the group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    /// The listener that it joined through.
    pub(crate) listener: String,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    /// Name and subscription of each assignment strategy, best first.
    pub(crate) protocols: Vec<(StrBytes, Bytes)>,
    pub(crate) assignment: Bytes,
    pub(super) last_seen: Instant,
    pub(super) join: Option<oneshot::Sender<JoinAnswer>>,
    pub(super) sync: Option<oneshot::Sender<SyncAnswer>>,
}

impl Member {
    pub(super) fn new(id: StrBytes, request: &JoinRequest, now: Instant) -> Self {
        Self {
            id,
            instance_id: request.instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            listener: request.listener.clone(),
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            last_seen: now,
            join: None,
            sync: None,
        }
    }

    pub(super) fn update(&mut self, request: &JoinRequest, now: Instant) {
        self.client_id.clone_from(&request.client_id);
        self.client_host.clone_from(&request.client_host);
        self.listener.clone_from(&request.listener);
        self.session_timeout = request.session_timeout;
        self.rebalance_timeout = request.rebalance_timeout;
        self.protocols.clone_from(&request.protocols);
        self.last_seen = now;
    }

    /// Whether its JoinGroup waits on a connection that is still there.
    pub(super) fn awaits_join(&self) -> bool {
        self.join.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    /// Whether its SyncGroup waits on a connection that is still there.
    pub(super) fn awaits_sync(&self) -> bool {
        self.sync.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    /// When its session ends unless it is heard of; never while a request of it waits here.
    pub(super) fn session_ends(&self) -> Option<Instant> {
        let waits = self.awaits_join() || self.awaits_sync();
        (!waits).then(|| self.last_seen + self.session_timeout)
    }

    pub(super) fn supports(&self, protocol: &StrBytes) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    pub(crate) fn subscription(&self, protocol: &StrBytes) -> Option<&Bytes> {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, subscription)| subscription)
    }

    /// Answers the waiting requests with `error`: the member is no longer the one who sent them.
    pub(super) fn refuse_waiting(&mut self, error: ResponseError) {
        if let Some(reply) = self.join.take() {
            let member_id = self.id.clone();
            // A closed connection needs no answer.
            let _ = reply.send(Err(super::JoinRefused { error, member_id }));
        }
        if let Some(reply) = self.sync.take() {
            let _ = reply.send(Err(error));
        }
    }
}
