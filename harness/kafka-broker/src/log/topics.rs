//! The topics, by name.

use super::batch::BatchHeader;
use super::partition::{Appended, Partition};
use super::settings::TopicSettings;
use crate::config::BrokerConfig;
use kafka_protocol::error::ResponseError;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Longest topic name, as in Kafka.
const MAX_NAME: usize = 249;

/// A topic and its partitions.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) settings: TopicSettings,
}

/// All topics.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: BTreeMap<String, Topic>,
    /// Partitions of all topics.
    partitions: usize,
    /// Bytes of all partitions.
    stored_bytes: usize,
    /// When the oldest batch of a topic with `retention.ms` may be too old, in milliseconds since the epoch.
    retention_due_ms: Option<i64>,
}

impl Topics {
    pub(crate) fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        let index = usize::try_from(partition).ok()?;
        self.by_name.get(topic)?.partitions.get(index)
    }

    /// A partition to be watched or woken; what changes its size goes through the methods below.
    pub(crate) fn partition_mut(&mut self, topic: &str, partition: i32) -> Option<&mut Partition> {
        let index = usize::try_from(partition).ok()?;
        self.by_name.get_mut(topic)?.partitions.get_mut(index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Topic)> {
        self.by_name
            .iter()
            .map(|(name, topic)| (name.as_str(), topic))
    }

    pub(crate) fn name_of(&self, id: Uuid) -> Option<&str> {
        self.iter()
            .find(|(_, topic)| topic.id == id)
            .map(|(name, _)| name)
    }

    /// Whether a topic of that name and size could be created.
    pub(crate) fn check_new(
        &self,
        name: &str,
        partitions: i32,
        config: &BrokerConfig,
    ) -> Result<(), ResponseError> {
        let legal =
            |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
        let named = !name.is_empty() && name.len() <= MAX_NAME && name != "." && name != "..";
        if !named || !name.chars().all(legal) {
            return Err(ResponseError::InvalidTopicException);
        }
        if self.by_name.contains_key(name) {
            return Err(ResponseError::TopicAlreadyExists);
        }
        if !(1..=config.max_partitions).contains(&partitions) {
            return Err(ResponseError::InvalidPartitions);
        }
        self.check_room(partitions as usize, config)
    }

    fn check_room(&self, further: usize, config: &BrokerConfig) -> Result<(), ResponseError> {
        if self.partitions + further > config.max_total_partitions {
            tracing::warn!(
                limit = config.max_total_partitions,
                "partitions refused: the broker's limit is reached"
            );
            return Err(ResponseError::PolicyViolation);
        }
        Ok(())
    }

    /// Creates a topic.
    pub(crate) fn create(
        &mut self,
        name: &str,
        partitions: i32,
        settings: TopicSettings,
        config: &BrokerConfig,
    ) -> Result<(), ResponseError> {
        self.check_new(name, partitions, config)?;
        let topic = Topic {
            id: Uuid::new_v4(),
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            settings,
        };
        self.partitions += topic.partitions.len();
        self.by_name.insert(name.to_owned(), topic);
        Ok(())
    }

    /// Gives a topic more partitions, or with `validate_only` says whether it could have them.
    pub(crate) fn grow(
        &mut self,
        name: &str,
        partitions: i32,
        validate_only: bool,
        config: &BrokerConfig,
    ) -> Result<(), ResponseError> {
        let topic = self
            .by_name
            .get(name)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let count = usize::try_from(partitions).map_err(|_| ResponseError::InvalidPartitions)?;
        let further = count.saturating_sub(topic.partitions.len());
        if further == 0 || partitions > config.max_partitions {
            return Err(ResponseError::InvalidPartitions);
        }
        self.check_room(further, config)?;
        if let Some(topic) = self.by_name.get_mut(name)
            && !validate_only
        {
            topic.partitions.resize_with(count, Partition::default);
            self.partitions += further;
        }
        Ok(())
    }

    /// Changes the settings of a topic; what they say of its records takes effect at once.
    pub(crate) fn change_settings(
        &mut self,
        name: &str,
        settings: TopicSettings,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        let topic = self
            .by_name
            .get_mut(name)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let limit = settings.retention_bytes;
        topic.settings = settings;
        for partition in &mut topic.partitions {
            let before = partition.bytes();
            if let Some(limit) = limit {
                partition.retain_bytes(limit);
            }
            self.stored_bytes -= before - partition.bytes();
        }
        self.expire(now_ms);
        Ok(())
    }

    /// Appends one checked batch, by the rules of its topic.
    pub(crate) fn append(
        &mut self,
        (topic, index): (&str, i32),
        batch: &[u8],
        header: &BatchHeader,
        now_ms: i64,
        config: &BrokerConfig,
    ) -> Result<Appended, ResponseError> {
        let topic = self
            .by_name
            .get_mut(topic)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let partition = usize::try_from(index)
            .ok()
            .and_then(|index| topic.partitions.get_mut(index))
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let settings = &topic.settings;
        if batch.len() > settings.max_message_bytes {
            return Err(ResponseError::MessageTooLarge);
        }
        let (behind, ahead) = settings.timestamp_bounds_ms;
        let sent = header.max_timestamp;
        if sent >= 0
            && (sent.saturating_sub(now_ms) > ahead || now_ms.saturating_sub(sent) > behind)
        {
            return Err(ResponseError::InvalidTimestamp);
        }
        if self.stored_bytes + batch.len() > config.max_stored_bytes {
            tracing::warn!(
                limit = config.max_stored_bytes,
                "records refused: the broker's memory limit is reached"
            );
            return Err(ResponseError::KafkaStorageError);
        }
        let before = partition.bytes();
        let appended = partition.append(batch, header, now_ms)?;
        self.stored_bytes += partition.bytes() - before;
        if let Some(limit) = settings.retention_bytes {
            let before = partition.bytes();
            partition.retain_bytes(limit);
            self.stored_bytes -= before - partition.bytes();
        }
        if let Some(kept) = settings.retention_ms {
            let from = if sent < 0 { now_ms } else { sent };
            let due = from.saturating_add(kept);
            self.retention_due_ms = Some(self.retention_due_ms.map_or(due, |at| at.min(due)));
        }
        Ok(appended)
    }

    /// Ends a producer's transaction in a partition, if it has one there.
    pub(crate) fn end_transaction(
        &mut self,
        (topic, index): (&str, i32),
        now_ms: i64,
        producer: (i64, i16),
        commit: bool,
    ) {
        let Some(partition) = self.partition_mut(topic, index) else {
            return;
        };
        let before = partition.bytes();
        partition.end_transaction(now_ms, producer.0, producer.1, commit);
        let marker = partition.bytes() - before;
        self.stored_bytes += marker;
    }

    /// Deletes the records of a partition before an offset, or with -1 all of them, and returns its new start.
    pub(crate) fn delete_records(
        &mut self,
        name: &str,
        index: i32,
        offset: i64,
    ) -> Result<i64, ResponseError> {
        let topic = self
            .get(name)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        if topic.settings.only_compacts() {
            return Err(ResponseError::PolicyViolation);
        }
        let partition = self
            .partition_mut(name, index)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let before = partition.bytes();
        let start = partition.delete_before(offset)?;
        let deleted = before - partition.bytes();
        self.stored_bytes -= deleted;
        Ok(start)
    }

    /// Drops what topics with `retention.ms` keep no longer, and notes when that is to be looked at again.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        let mut due: Option<i64> = None;
        for topic in self.by_name.values_mut() {
            let Some(kept) = topic.settings.retention_ms else {
                continue;
            };
            for partition in &mut topic.partitions {
                let before = partition.bytes();
                partition.retain_age(kept, now_ms);
                self.stored_bytes -= before - partition.bytes();
                if let Some(oldest) = partition.oldest_ms() {
                    let at = oldest.saturating_add(kept);
                    due = Some(due.map_or(at, |due| due.min(at)));
                }
            }
        }
        self.retention_due_ms = due;
    }

    /// When `expire` is due, in milliseconds since the epoch.
    pub(crate) fn expiry_due_ms(&self) -> Option<i64> {
        self.retention_due_ms
    }

    /// Removes a topic with all it holds and wakes those who wait for its records.
    pub(crate) fn delete(&mut self, name: &str) -> Result<(), ResponseError> {
        let mut topic = self
            .by_name
            .remove(name)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        self.partitions -= topic.partitions.len();
        for partition in &mut topic.partitions {
            self.stored_bytes -= partition.bytes();
            partition.wake();
        }
        Ok(())
    }
}
