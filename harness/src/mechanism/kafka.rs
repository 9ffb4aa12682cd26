//! The broker as a client sees it: topics are tailed and written, the offsets of groups are read and reset.
//!
//! Everything here speaks Kafka's protocol through librdkafka, past every proxy, so that it is the same for the embedded
//! broker and for Apache Kafka.

use std::{collections::BTreeMap, time::Duration};

use futures::future;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer},
    error::KafkaError,
    message::{Message, OwnedMessage},
    producer::{FutureProducer, FutureRecord},
};

use super::MechanismError;
use crate::testbed::KafkaAccess;

/// The broker answers within this time or the request has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Kafka of one drill. Names of topics and groups are given without the drill's prefix.
#[derive(Clone)]
pub struct Kafka {
    access: KafkaAccess,
}

/// A position in every partition of a topic.
pub type Offsets = BTreeMap<i32, i64>;

impl Kafka {
    /// The broker behind an access.
    #[must_use]
    pub fn through(access: KafkaAccess) -> Self {
        Self { access }
    }

    /// Name of a topic or group as the broker knows it.
    #[must_use]
    pub fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.access.topic_prefix)
    }

    /// The offset that the next record of each partition will get.
    ///
    /// # Errors
    /// There is no such topic, or the broker does not answer.
    pub async fn ends(&self, topic: &str) -> Result<Offsets, MechanismError> {
        let this = self.clone();
        let topic = topic.to_owned();
        blocking(move || {
            let consumer: BaseConsumer = this
                .configuration("")
                .create()
                .map_err(this.failed("connecting"))?;
            this.ends_with(&consumer, &topic)
        })
        .await
    }

    /// What a group has committed of a topic; -1 where it has committed nothing.
    ///
    /// # Errors
    /// There is no such topic, or the broker does not answer.
    pub async fn committed(&self, group: &str, topic: &str) -> Result<Offsets, MechanismError> {
        let this = self.clone();
        let (group, topic) = (group.to_owned(), topic.to_owned());
        blocking(move || {
            let consumer = this.member(&group)?;
            let mut asked = TopicPartitionList::new();
            for partition in this.partitions(&consumer, &topic)? {
                asked.add_partition(&this.full_name(&topic), partition);
            }
            let known = consumer
                .committed_offsets(asked, ANSWER_WITHIN)
                .map_err(this.failed(&format!("reading the offsets of the group {group}")))?;
            Ok(known
                .elements()
                .iter()
                .map(|element| {
                    (
                        element.partition(),
                        element.offset().to_raw().unwrap_or(-1).max(-1),
                    )
                })
                .collect())
        })
        .await
    }

    /// Whether a group has no members, which is when its offsets can be changed.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn group_is_empty(&self, group: &str) -> Result<bool, MechanismError> {
        let this = self.clone();
        let group = self.full_name(group);
        blocking(move || {
            let consumer: BaseConsumer = this
                .configuration("")
                .create()
                .map_err(this.failed("connecting"))?;
            let groups = consumer
                .fetch_group_list(Some(&group), ANSWER_WITHIN)
                .map_err(this.failed(&format!("describing the group {group}")))?;
            Ok(groups
                .groups()
                .iter()
                .all(|found| found.members().is_empty()))
        })
        .await
    }

    /// Sets what an empty group has committed of a topic.
    ///
    /// # Errors
    /// The group has members, there is no such topic, or the broker does not answer.
    pub async fn set_committed(
        &self,
        group: &str,
        topic: &str,
        offsets: Offsets,
    ) -> Result<(), MechanismError> {
        let this = self.clone();
        let (group, topic) = (group.to_owned(), topic.to_owned());
        let asked = offsets.clone();
        blocking({
            let (this, group, topic) = (this.clone(), group.clone(), topic.clone());
            move || {
                let consumer = this.member(&group)?;
                let mut list = TopicPartitionList::new();
                for (partition, offset) in offsets {
                    list.add_partition_offset(
                        &this.full_name(&topic),
                        partition,
                        Offset::Offset(offset),
                    )
                    .map_err(this.failed("naming offsets"))?;
                }
                consumer
                    .commit(&list, CommitMode::Sync)
                    .map_err(this.failed(&format!("resetting the offsets of the group {group}")))
            }
        })
        .await?;
        let found = this.committed(&group, &topic).await?;
        let differs = asked
            .iter()
            .any(|(partition, offset)| found.get(partition) != Some(offset));
        if differs {
            return Err(MechanismError::NotInForce {
                doing: format!("resetting the offsets of the group {group}"),
                place: this.access.bootstrap.clone(),
                found: format!("{found:?}"),
            });
        }
        Ok(())
    }

    /// Follows a topic from given positions on.
    ///
    /// # Errors
    /// There is no such topic, or the broker does not answer.
    pub async fn tail(
        &self,
        topic: &str,
        from: &Offsets,
    ) -> Result<StreamConsumer, MechanismError> {
        let this = self.clone();
        let (topic, from) = (topic.to_owned(), from.clone());
        blocking(move || {
            // The group is never joined: partitions are assigned by hand and nothing is committed.
            let consumer: StreamConsumer = this
                .configuration("firedrill-tail")
                .create()
                .map_err(this.failed("connecting"))?;
            let mut list = TopicPartitionList::new();
            for (partition, offset) in from {
                list.add_partition_offset(
                    &this.full_name(&topic),
                    partition,
                    Offset::Offset(offset),
                )
                .map_err(this.failed("naming offsets"))?;
            }
            consumer
                .assign(&list)
                .map_err(this.failed(&format!("following the topic {topic}")))?;
            Ok(consumer)
        })
        .await
    }

    /// A producer whose records arrive once.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn producer(&self) -> Result<FutureProducer, MechanismError> {
        self.configuration("")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("message.timeout.ms", "10000")
            .create()
            .map_err(self.failed("connecting"))
    }

    /// The last message of every partition in which something stands.
    ///
    /// # Errors
    /// There is no such topic, or the broker does not answer.
    pub async fn last_messages(
        &self,
        topic: &str,
    ) -> Result<BTreeMap<i32, OwnedMessage>, MechanismError> {
        let mut from = self.ends(topic).await?;
        from.retain(|_, end| *end > 0);
        from.values_mut().for_each(|end| *end -= 1);
        let mut last = BTreeMap::new();
        if from.is_empty() {
            return Ok(last);
        }
        let tail = self.tail(topic, &from).await?;
        let reading = async {
            while last.len() < from.len() {
                let message = tail.recv().await?.detach();
                last.insert(message.partition(), message);
            }
            Ok(())
        };
        // The last offset of a partition may hold a transaction's marker, which is no message: what came in time is all.
        match tokio::time::timeout(ANSWER_WITHIN, reading).await {
            Ok(Err(error)) => Err(self.failed(&format!("reading the end of {topic}"))(error)),
            Ok(Ok(())) | Err(_) => Ok(last),
        }
    }

    /// Publishes one message into a partition; returns partition and offset.
    ///
    /// # Errors
    /// It was not acknowledged.
    pub async fn publish(
        &self,
        producer: &FutureProducer,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        payload: &[u8],
    ) -> Result<(i32, i64), MechanismError> {
        let full = self.full_name(topic);
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&full)
            .partition(partition)
            .payload(payload);
        if let Some(key) = key {
            record = record.key(key);
        }
        match producer.send(record, ANSWER_WITHIN).await {
            Ok(place) => Ok((place.partition, place.offset)),
            Err((error, _)) => Err(self.failed(&format!("publishing into {topic}"))(error)),
        }
    }

    /// Publishes every message once more, as it is, to its own partition, in order; returns where the copies lie.
    ///
    /// # Errors
    /// A copy was not acknowledged.
    pub async fn publish_again(
        &self,
        producer: &FutureProducer,
        messages: &[OwnedMessage],
    ) -> Result<Vec<(i32, i64)>, MechanismError> {
        let sent = messages.iter().map(|message| {
            let mut record: FutureRecord<'_, [u8], [u8]> =
                FutureRecord::to(message.topic()).partition(message.partition());
            if let Some(key) = message.key() {
                record = record.key(key);
            }
            if let Some(payload) = message.payload() {
                record = record.payload(payload);
            }
            if let Some(headers) = message.headers() {
                record = record.headers(headers.clone());
            }
            producer.send(record, ANSWER_WITHIN)
        });
        future::join_all(sent)
            .await
            .into_iter()
            .map(|delivery| match delivery {
                Ok(place) => Ok((place.partition, place.offset)),
                Err((error, _)) => Err(self.failed("publishing a message once more")(error)),
            })
            .collect()
    }

    fn ends_with(&self, consumer: &BaseConsumer, topic: &str) -> Result<Offsets, MechanismError> {
        let full = self.full_name(topic);
        self.partitions(consumer, topic)?
            .into_iter()
            .map(|partition| {
                consumer
                    .fetch_watermarks(&full, partition, ANSWER_WITHIN)
                    .map(|(_, end)| (partition, end))
                    .map_err(self.failed(&format!("reading the end of the topic {topic}")))
            })
            .collect()
    }

    /// The partitions of a topic. The whole cluster is asked, as asking for one topic could create it.
    fn partitions(&self, consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>, MechanismError> {
        let metadata = consumer
            .fetch_metadata(None, ANSWER_WITHIN)
            .map_err(self.failed("reading the list of topics"))?;
        let full = self.full_name(topic);
        let found = metadata.topics().iter().find(|found| found.name() == full);
        match found {
            Some(found) => Ok(found
                .partitions()
                .iter()
                .map(|partition| partition.id())
                .collect()),
            None => Err(MechanismError::unknown(
                "topic",
                topic,
                &self.access.bootstrap,
                metadata
                    .topics()
                    .iter()
                    .filter_map(|found| found.name().strip_prefix(&self.access.topic_prefix))
                    .filter(|name| !name.starts_with("__"))
                    .map(str::to_owned)
                    .collect(),
            )),
        }
    }

    fn member(&self, group: &str) -> Result<BaseConsumer, MechanismError> {
        self.configuration(&self.full_name(group))
            .create()
            .map_err(self.failed("connecting"))
    }

    fn configuration(&self, group: &str) -> ClientConfig {
        let mut configuration = ClientConfig::new();
        configuration
            .set("bootstrap.servers", &self.access.bootstrap)
            .set("client.id", "firedrill")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "200");
        if !group.is_empty() {
            configuration
                .set("group.id", group)
                .set("enable.auto.commit", "false")
                .set("enable.partition.eof", "false")
                .set("fetch.wait.max.ms", "50")
                .set("auto.offset.reset", "earliest");
        }
        configuration
    }

    fn failed(&self, doing: &str) -> impl Fn(KafkaError) -> MechanismError + use<> {
        let doing = format!("{doing} at {}", self.access.bootstrap);
        move |error| MechanismError::failed(doing.clone(), error)
    }
}

/// librdkafka's requests block; they get a thread of their own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MechanismError> + Send + 'static,
) -> Result<T, MechanismError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(MechanismError::failed("asking the broker", error)))
}
