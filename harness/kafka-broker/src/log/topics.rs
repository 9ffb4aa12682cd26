//! The topics, by name.

use super::partition::Partition;
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
    /// Largest batch in bytes.
    pub(crate) max_message_bytes: usize,
    /// Bytes kept in each partition.
    pub(crate) retention_bytes: Option<usize>,
}

/// All topics.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: BTreeMap<String, Topic>,
}

impl Topics {
    pub(crate) fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.by_name.get_mut(name)
    }

    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        let index = usize::try_from(partition).ok()?;
        self.by_name.get(topic)?.partitions.get(index)
    }

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
        Ok(())
    }

    /// Creates a topic with the defaults of `config`.
    pub(crate) fn create(
        &mut self,
        name: &str,
        partitions: i32,
        config: &BrokerConfig,
    ) -> Result<&mut Topic, ResponseError> {
        self.check_new(name, partitions, config)?;
        let topic = Topic {
            id: Uuid::new_v4(),
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            max_message_bytes: config.max_message_bytes,
            retention_bytes: config.retention_bytes,
        };
        Ok(self.by_name.entry(name.to_owned()).or_insert(topic))
    }

    /// Removes a topic with all it holds and wakes those who wait for its records.
    pub(crate) fn delete(&mut self, name: &str) -> Result<(), ResponseError> {
        let mut topic = self
            .by_name
            .remove(name)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        topic.partitions.iter_mut().for_each(Partition::wake);
        Ok(())
    }
}
