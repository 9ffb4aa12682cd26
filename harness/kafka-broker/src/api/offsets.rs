//! Offsets of partitions and of groups: ListOffsets, OffsetCommit, OffsetFetch.

use super::{Call, check_leader_epoch, code};
use crate::cluster::Models;
use crate::groups::{Committed, Committer};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetCommitRequest, OffsetCommitResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use std::collections::BTreeMap;
use std::time::Instant;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const READ_COMMITTED: i8 = 1;

pub(super) fn list_offsets(
    call: &mut Call<'_>,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let models = call.cluster.models();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let found = call
                .spare()
                .and_then(|()| find_offset(&models, &topic.name, wanted, request.isolation_level));
            let (offset, timestamp) = *found.as_ref().unwrap_or(&(-1, -1));
            let leader_epoch = if call.version >= 4 && found.is_ok() {
                0
            } else {
                -1
            };
            ListOffsetsPartitionResponse::default()
                .with_partition_index(wanted.partition_index)
                .with_error_code(code(&found))
                .with_offset(offset)
                .with_timestamp(timestamp)
                .with_leader_epoch(leader_epoch)
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Offset and time that a timestamp or one of its special values stands for.
fn find_offset(
    models: &Models,
    topic: &str,
    wanted: &ListOffsetsPartition,
    isolation_level: i8,
) -> Result<(i64, i64), ResponseError> {
    let partition = models
        .topics
        .partition(topic, wanted.partition_index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    check_leader_epoch(wanted.current_leader_epoch)?;
    Ok(match wanted.timestamp {
        LATEST if isolation_level == READ_COMMITTED => (partition.last_stable(), -1),
        LATEST => (partition.end(), -1),
        EARLIEST => (partition.start(), -1),
        // What stands for other special offsets came with later versions of this request.
        special if special < EARLIEST => return Err(ResponseError::UnsupportedVersion),
        timestamp => partition.find_by_time(timestamp).unwrap_or((-1, -1)),
    })
}

pub(super) fn offset_commit(
    call: &mut Call<'_>,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let spared = call.spare();
    let most_groups = call.cluster.config.max_groups;
    let topics = call.change(|models| {
        let committer = Committer {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_ref(),
            generation: request.generation_id_or_member_epoch,
        };
        let allowed = spared
            .and_then(|()| models.groups.check_room(&request.group_id, most_groups))
            .and_then(|()| may_commit(models, &request.group_id, committer));
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|wanted| {
                let committed =
                    allowed.and_then(|()| commit(models, &request.group_id, &topic.name, wanted));
                OffsetCommitResponsePartition::default()
                    .with_partition_index(wanted.partition_index)
                    .with_error_code(code(&committed))
            });
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        topics.collect()
    });
    OffsetCommitResponse::default().with_topics(topics)
}

fn may_commit(
    models: &mut Models,
    group: &str,
    committer: Committer<'_>,
) -> Result<(), ResponseError> {
    if models.groups.get(group).is_none() && committer.generation >= 0 {
        return Err(ResponseError::IllegalGeneration);
    }
    models
        .groups
        .get_or_create(group)
        .may_commit(committer, Instant::now())
}

fn commit(
    models: &mut Models,
    group: &str,
    topic: &str,
    wanted: &OffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    let index = wanted.partition_index;
    let known = models.topics.partition(topic, index).is_some();
    if !known {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    let committed = Committed::new(wanted.committed_offset, wanted.committed_metadata.clone())?;
    models.commit(group, topic, index, committed);
    Ok(())
}

pub(super) fn offset_fetch(
    call: &mut Call<'_>,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let models = call.cluster.models();
    let wanted = wanted_offsets(&models, &request);
    let topics = wanted.into_iter().map(|(topic, partitions)| {
        let partitions = partitions.into_iter().map(|index| {
            let found = call
                .spare()
                .and_then(|()| committed(&models, &request, &topic, index));
            let error = code(&found);
            let answer = OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(error)
                .with_committed_leader_epoch(-1);
            match found.ok().flatten() {
                Some(committed) => answer
                    .with_committed_offset(committed.offset)
                    .with_metadata(Some(committed.metadata.clone())),
                None => answer
                    .with_committed_offset(-1)
                    .with_metadata(Some(Default::default())),
            }
        });
        OffsetFetchResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(TopicName(super::text(&topic)))
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

/// The partitions asked for, by topic; without a list all that the group has committed.
fn wanted_offsets(models: &Models, request: &OffsetFetchRequest) -> BTreeMap<String, Vec<i32>> {
    let mut wanted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    match &request.topics {
        Some(topics) => {
            for topic in topics {
                let partitions = wanted.entry(topic.name.to_string()).or_default();
                partitions.extend(&topic.partition_indexes);
            }
        }
        None => {
            let group = models.groups.get(&request.group_id);
            for (topic, partition) in group.iter().flat_map(|group| group.offsets.keys()) {
                wanted.entry(topic.clone()).or_default().push(*partition);
            }
        }
    }
    wanted
}

fn committed<'a>(
    models: &'a Models,
    request: &OffsetFetchRequest,
    topic: &str,
    index: i32,
) -> Result<Option<&'a Committed>, ResponseError> {
    if request.require_stable
        && models
            .transactions
            .is_unstable(&request.group_id, topic, index)
    {
        return Err(ResponseError::UnstableOffsetCommit);
    }
    let group = models.groups.get(&request.group_id);
    Ok(group.and_then(|group| group.offsets.get(&(topic.to_owned(), index))))
}
