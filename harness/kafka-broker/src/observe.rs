//! What the owner can see: offsets, lag, groups, members, records; and the reset of offsets.

use crate::broker::Broker;
use crate::cluster::Models;
use crate::error::BrokerError;
use crate::groups::{Committed, Group, GroupState, Member, assigned_partitions, subscribed_topics};
use crate::log::{Partition, Record, RecordsError, decode_records};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Where a partition begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The partition.
    pub partition: i32,
    /// Offset of the first record that is kept.
    pub start: i64,
    /// Offset after the last record.
    pub end: i64,
    /// The first offset that a transaction may still change; `end` without an open one.
    pub last_stable: i64,
}

/// How far a group has come in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupProgress {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The committed offset; `None` if the group has committed nothing here.
    pub committed: Option<i64>,
    /// First offset of the partition.
    pub start: i64,
    /// Offset after the last record of the partition.
    pub end: i64,
}

impl GroupProgress {
    /// Offsets between the group and the end of the partition; from the partition's start if nothing is committed.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.end - self.committed.unwrap_or(self.start).max(self.start)
    }
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    /// Its name.
    pub group: String,
    /// Where it stands.
    pub state: GroupState,
    /// How many rebalances it has been through.
    pub generation: i32,
    /// Its members, in the order in which they joined.
    pub members: Vec<GroupMember>,
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The id the broker gave it.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
    /// Its `client.id`.
    pub client_id: String,
    /// The address it connects from.
    pub client_host: String,
    /// The listener that it joined through.
    pub listener: String,
    /// The partitions it was assigned; empty during a rebalance.
    pub assigned: Vec<(String, i32)>,
}

/// Where a group's offsets are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// The first record that is kept.
    Earliest,
    /// The end: nothing is delivered again.
    Latest,
    /// This offset, in every partition of the topic.
    To(i64),
    /// This many records before the end, in every partition of the topic.
    Back(i64),
}

impl Broker {
    /// The topics' names, sorted.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        let models = self.cluster.models();
        models
            .topics
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// Where the partitions of a topic begin and end.
    ///
    /// # Errors
    /// There is no such topic.
    pub fn offsets(&self, topic: &str) -> Result<Vec<PartitionOffsets>, BrokerError> {
        let models = self.cluster.models();
        let found = models
            .topics
            .get(topic)
            .ok_or_else(|| BrokerError::UnknownTopic(topic.to_owned()))?;
        let of = |(index, partition): (usize, &Partition)| PartitionOffsets {
            partition: index as i32,
            start: partition.start(),
            end: partition.end(),
            last_stable: partition.last_stable(),
        };
        Ok(found.partitions.iter().enumerate().map(of).collect())
    }

    /// How far every group has come in every partition that it has committed or its members subscribe to.
    #[must_use]
    pub fn group_progress(&self) -> Vec<GroupProgress> {
        let models = self.cluster.models();
        let mut progress = Vec::new();
        for (name, group) in models.groups.iter() {
            for (topic, index) in followed_partitions(&models, group) {
                let Some(partition) = models.topics.partition(&topic, index) else {
                    continue;
                };
                let committed = group
                    .offsets
                    .get(&(topic.clone(), index))
                    .map(|committed| committed.offset);
                progress.push(GroupProgress {
                    group: name.to_owned(),
                    topic,
                    partition: index,
                    committed,
                    start: partition.start(),
                    end: partition.end(),
                });
            }
        }
        progress
    }

    /// The sum of [`GroupProgress::lag`] of one group; 0 for a group that is not known.
    #[must_use]
    pub fn lag(&self, group: &str) -> i64 {
        let progress = self.group_progress();
        progress
            .iter()
            .filter(|progress| progress.group == group)
            .map(GroupProgress::lag)
            .sum()
    }

    /// All groups, by name.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupSummary> {
        let models = self.cluster.models();
        models
            .groups
            .iter()
            .map(|(name, group)| summary(name, group))
            .collect()
    }

    /// One group.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<GroupSummary> {
        let models = self.cluster.models();
        models.groups.get(name).map(|group| summary(name, group))
    }

    /// The records of a partition from `offset` on that a read-committed consumer would see.
    ///
    /// # Errors
    /// There is no such partition, or a batch in it is compressed.
    pub fn records(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<Vec<Record>, BrokerError> {
        let models = self.cluster.models();
        let found = models.topics.partition(topic, partition).ok_or_else(|| {
            BrokerError::UnknownPartition {
                topic: topic.to_owned(),
                partition,
            }
        })?;
        let limit = found.last_stable();
        let mut records = Vec::new();
        for batch in found
            .batches_from(offset)
            .take_while(|batch| batch.first < limit)
        {
            let aborted = batch.transaction_of.is_some_and(|producer| {
                let spans = found.aborted_between(batch.first, batch.last);
                spans.iter().any(|span| span.producer_id == producer)
            });
            if batch.control || aborted {
                continue;
            }
            let decoded = decode_records(
                &batch.bytes,
                batch.first,
                batch.base_timestamp,
                batch.compressed,
            );
            records.extend(decoded.map_err(|error| match error {
                RecordsError::Compressed => BrokerError::Compressed {
                    topic: topic.to_owned(),
                    partition,
                    offset: batch.first,
                },
                RecordsError::Malformed => BrokerError::UnknownPartition {
                    topic: topic.to_owned(),
                    partition,
                },
            })?);
        }
        let first = offset.max(found.start());
        records.retain(|record| record.offset >= first);
        Ok(records)
    }

    /// Sets a group's offsets of one topic. Members of the group are expelled first, as an operator would stop them
    /// first: each learns at its next heartbeat that it must join again, and then starts at the new offsets. A group that
    /// does not exist yet starts there too, and sooner: librdkafka looks for offsets that it has to reset 0.1 s later.
    ///
    /// # Errors
    /// There is no such topic, or the offset lies outside a partition (then nothing is changed).
    pub fn reset_offsets(
        &self,
        group: &str,
        topic: &str,
        to: OffsetReset,
    ) -> Result<(), BrokerError> {
        self.cluster.change(|models| {
            let found = models
                .topics
                .get(topic)
                .ok_or_else(|| BrokerError::UnknownTopic(topic.to_owned()))?;
            let targets = reset_targets(topic, &found.partitions, to)?;
            models.groups.get_or_create(group).expel_all(Instant::now());
            for (partition, offset) in targets {
                let committed = Committed {
                    offset,
                    metadata: StrBytes::new(),
                };
                models.commit(group, topic, partition, committed);
            }
            Ok(())
        })
    }
}

fn reset_targets(
    topic: &str,
    partitions: &[Partition],
    to: OffsetReset,
) -> Result<Vec<(i32, i64)>, BrokerError> {
    let target = |(index, partition): (usize, &Partition)| {
        let (index, start, end) = (index as i32, partition.start(), partition.end());
        let offset = match to {
            OffsetReset::Earliest => start,
            OffsetReset::Latest => end,
            OffsetReset::Back(records) => end.saturating_sub(records).max(start),
            OffsetReset::To(offset) => offset,
        };
        if (start..=end).contains(&offset) {
            Ok((index, offset))
        } else {
            Err(BrokerError::OffsetOutOfRange {
                topic: topic.to_owned(),
                partition: index,
                offset,
                start,
                end,
            })
        }
    };
    partitions.iter().enumerate().map(target).collect()
}

/// The partitions that a group has committed or its members subscribe to.
fn followed_partitions(models: &Models, group: &Group) -> BTreeSet<(String, i32)> {
    let mut followed: BTreeSet<(String, i32)> = group.offsets.keys().cloned().collect();
    let mut partitions: BTreeMap<String, usize> = BTreeMap::new();
    for member in &group.members {
        let Some((_, subscription)) = member.protocols.first() else {
            continue;
        };
        for topic in subscribed_topics(subscription) {
            let count = models
                .topics
                .get(&topic)
                .map_or(0, |topic| topic.partitions.len());
            partitions.insert(topic, count);
        }
    }
    for (topic, count) in partitions {
        followed.extend((0..count).map(|index| (topic.clone(), index as i32)));
    }
    followed
}

fn summary(name: &str, group: &Group) -> GroupSummary {
    GroupSummary {
        group: name.to_owned(),
        state: group.state,
        generation: group.generation,
        members: group_members(group),
    }
}

pub(crate) fn group_members(group: &Group) -> Vec<GroupMember> {
    let member = |member: &Member| GroupMember {
        member_id: member.id.to_string(),
        instance_id: member.instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        listener: member.listener.clone(),
        assigned: assigned_partitions(&member.assignment),
    };
    group.members.iter().map(member).collect()
}
