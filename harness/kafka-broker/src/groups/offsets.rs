//! Committed offsets, and who may commit them.

use super::group::{Group, GroupState};
use crate::cluster::Models;
use crate::events::EventKind;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;
use std::time::Instant;

/// Longest metadata of a commit in bytes, as in Kafka.
const MAX_METADATA: usize = 4096;

/// An offset as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) metadata: StrBytes,
}

impl Committed {
    /// Checks the metadata's length.
    pub(crate) fn new(offset: i64, metadata: Option<StrBytes>) -> Result<Self, ResponseError> {
        let metadata = metadata.unwrap_or_default();
        if metadata.len() > MAX_METADATA {
            return Err(ResponseError::OffsetMetadataTooLarge);
        }
        Ok(Self { offset, metadata })
    }
}

/// Who commits: a member of a generation, or with generation -1 someone outside the group protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committer<'a> {
    pub(crate) member_id: &'a StrBytes,
    pub(crate) instance_id: Option<&'a StrBytes>,
    pub(crate) generation: i32,
}

impl Group {
    /// Whether this committer may commit now. A member of the current generation may until the next one is formed.
    pub(crate) fn may_commit(
        &mut self,
        committer: Committer<'_>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if committer.generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        let outside = committer.generation < 0
            && committer.member_id.is_empty()
            && committer.instance_id.is_none();
        if outside {
            return Err(ResponseError::UnknownMemberId);
        }
        self.hear(
            committer.member_id,
            committer.instance_id,
            committer.generation,
            now,
        )?;
        match self.state {
            GroupState::CompletingRebalance => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Whether this committer may commit within a transaction, whose offsets may name no member.
    pub(crate) fn may_commit_in_transaction(
        &mut self,
        committer: Committer<'_>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if committer.generation < 0 && committer.member_id.is_empty() {
            return Ok(());
        }
        self.may_commit(committer, now)
    }

    pub(super) fn commit(&mut self, topic: &str, partition: i32, committed: Committed) {
        self.offsets
            .insert((topic.to_owned(), partition), committed);
    }
}

impl Models {
    /// Stores an offset of a group and tells the watchers.
    pub(crate) fn commit(&mut self, group: &str, topic: &str, partition: i32, offset: Committed) {
        let committed = offset.offset;
        self.groups
            .get_or_create(group)
            .commit(topic, partition, offset);
        self.publish(|| EventKind::Committed {
            group: group.to_owned(),
            topic: topic.to_owned(),
            partition,
            offset: committed,
        });
    }
}
