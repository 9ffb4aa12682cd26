//! Topics read from the beginning, and the progress of consumer groups.
//!
//! Only what every Kafka offers to clients is used, so that the embedded broker and Apache Kafka are read alike.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use firedrill_oracle::record::{Fact, FactKind};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Headers,
};
use serde_json::{Map, Value};

use super::{GroupOfTopics, fields::fact};
use crate::testbed::KafkaAccess;

/// How long one question to the broker may take.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// How long one wait for records may take before the deadline is looked at again.
const POLL: Duration = Duration::from_millis(50);

/// A record of a topic.
#[derive(Debug, Clone)]
pub(super) struct QueueRecord {
    /// Without the drill's prefix.
    pub(super) topic: String,
    partition: i32,
    offset: i64,
    payload: Option<Vec<u8>>,
    headers: BTreeMap<String, String>,
}

/// Where one partition of a group stands.
#[derive(Debug, Clone)]
pub(super) struct PartitionProgress {
    topic: String,
    partition: i32,
    committed: i64,
    end: i64,
}

/// Reads the queue past every proxy; its calls block.
pub(super) struct QueueReader {
    access: KafkaAccess,
    /// One client for each group, kept open.
    clients: Mutex<HashMap<String, Arc<BaseConsumer>>>,
    /// Partitions of topics, by full name.
    partitions: Mutex<HashMap<String, i32>>,
}

impl QueueReader {
    pub(super) fn new(access: KafkaAccess) -> Self {
        Self {
            access,
            clients: Mutex::default(),
            partitions: Mutex::default(),
        }
    }

    /// Every record that the topics hold now.
    pub(super) fn read(
        &self,
        topics: &[String],
        limit: Duration,
    ) -> Result<Vec<QueueRecord>, String> {
        let deadline = Instant::now() + limit;
        let reader = self.client("firedrill-reader")?;
        let all = self.all_partitions(&reader, topics)?;
        let begins = offsets(&reader, &all, Offset::Beginning)?;
        let ends = offsets(&reader, &all, Offset::End)?;
        let mut waiting: HashMap<(String, i32), i64> = ends
            .into_iter()
            .filter(|(place, end)| begins.get(place).is_none_or(|begin| begin < end))
            .collect();
        let mut assignment = TopicPartitionList::new();
        for (topic, partition) in waiting.keys() {
            assignment
                .add_partition_offset(topic, *partition, Offset::Beginning)
                .map_err(text)?;
        }
        reader.assign(&assignment).map_err(text)?;
        let read = self.drain(&reader, &mut waiting, deadline);
        let left = reader.assign(&TopicPartitionList::new()).map_err(text);
        let records = read?;
        left?;
        Ok(records)
    }

    fn drain(
        &self,
        reader: &BaseConsumer,
        waiting: &mut HashMap<(String, i32), i64>,
        deadline: Instant,
    ) -> Result<Vec<QueueRecord>, String> {
        let mut records = Vec::new();
        while !waiting.is_empty() {
            if Instant::now() > deadline {
                let mut places: Vec<String> = waiting
                    .keys()
                    .map(|(topic, partition)| format!("{topic}/{partition}"))
                    .collect();
                places.sort();
                return Err(format!(
                    "{} could not be read to the end in time",
                    places.join(", ")
                ));
            }
            match reader.poll(POLL) {
                None => {}
                Some(Ok(message)) => {
                    let place = (message.topic().to_owned(), message.partition());
                    let end = waiting.get(&place).copied();
                    if end.is_some_and(|end| message.offset() < end) {
                        records.push(self.record(&message));
                    }
                    if end.is_some_and(|end| message.offset() + 1 >= end) {
                        waiting.remove(&place);
                    }
                }
                // The last offsets may belong to markers of transactions, which are no records.
                Some(Err(KafkaError::PartitionEOF(_))) => forget_finished(reader, waiting)?,
                Some(Err(error)) if is_fatal(&error) => return Err(text(error)),
                Some(Err(error)) => tracing::debug!(%error, "reading the topics"),
            }
        }
        Ok(records)
    }

    fn record(&self, message: &rdkafka::message::BorrowedMessage<'_>) -> QueueRecord {
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .filter_map(|header| {
                    let value = header.value.map(String::from_utf8_lossy)?;
                    Some((header.key.to_owned(), value.into_owned()))
                })
                .collect()
        });
        QueueRecord {
            topic: self.without_prefix(message.topic()),
            partition: message.partition(),
            offset: message.offset(),
            payload: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        }
    }

    /// Where a group stands in each partition of its topics.
    pub(super) fn progress(
        &self,
        wanted: &GroupOfTopics,
    ) -> Result<Vec<PartitionProgress>, String> {
        let client = self.client(&format!("{}{}", self.access.topic_prefix, wanted.group))?;
        let all = self.all_partitions(&client, &wanted.topics)?;
        let committed = client
            .committed_offsets(all.clone(), ASK_LIMIT)
            .map_err(text)?;
        let ends = offsets(&client, &all, Offset::End)?;
        let committed = by_place(&committed)?;
        let begins = match committed.len() < ends.len() {
            true => offsets(&client, &all, Offset::Beginning)?,
            false => HashMap::new(),
        };
        let mut progress: Vec<PartitionProgress> = ends
            .into_iter()
            .map(|(place, end)| PartitionProgress {
                // A group that has committed nothing begins at the beginning.
                committed: committed
                    .get(&place)
                    .or(begins.get(&place))
                    .copied()
                    .unwrap_or(0),
                topic: self.without_prefix(&place.0),
                partition: place.1,
                end,
            })
            .collect();
        progress.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(progress)
    }

    /// Ends the clients; they are made anew when something is read again.
    pub(super) fn close(&self) {
        let clients = {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *clients)
        };
        // A client takes its time to end, and none needs another for it.
        std::thread::scope(|scope| {
            for client in clients.into_values() {
                scope.spawn(|| drop(client));
            }
        });
    }

    fn without_prefix(&self, name: &str) -> String {
        let bare = name.strip_prefix(&self.access.topic_prefix);
        bare.unwrap_or(name).to_owned()
    }

    /// A client that is a member of no group; `group` is only what it asks about.
    fn client(&self, group: &str) -> Result<Arc<BaseConsumer>, String> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(group) {
            return Ok(Arc::clone(client));
        }
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.access.bootstrap)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "10")
            .set("socket.nagle.disable", "true")
            .create()
            .map_err(text)?;
        let client = Arc::new(client);
        clients.insert(group.to_owned(), Arc::clone(&client));
        Ok(client)
    }

    fn all_partitions(
        &self,
        client: &BaseConsumer,
        topics: &[String],
    ) -> Result<TopicPartitionList, String> {
        let mut all = TopicPartitionList::new();
        for topic in topics {
            let name = format!("{}{topic}", self.access.topic_prefix);
            let count = self.partition_count(client, &name)?;
            for partition in 0..count {
                all.add_partition(&name, partition);
            }
        }
        Ok(all)
    }

    fn partition_count(&self, client: &BaseConsumer, name: &str) -> Result<i32, String> {
        let lock = || {
            self.partitions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(count) = lock().get(name) {
            return Ok(*count);
        }
        let metadata = client.fetch_metadata(Some(name), ASK_LIMIT).map_err(text)?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        let count = topic.map_or(0, |topic| topic.partitions().len());
        if count == 0 {
            return Err(format!("topic `{name}` does not exist"));
        }
        let count = i32::try_from(count).map_err(|error| error.to_string())?;
        lock().insert(name.to_owned(), count);
        Ok(count)
    }
}

impl QueueRecord {
    /// The record as a fact, with fields from its payload; what cannot be found there is unknown.
    pub(super) fn message(&self, fields: &BTreeMap<String, String>) -> Result<Fact, String> {
        let payload: Value = self
            .payload
            .as_deref()
            .and_then(|payload| serde_json::from_slice(payload).ok())
            .unwrap_or_default();
        let mut row = self.place();
        for (field, pointer) in fields {
            let value = payload.pointer(pointer).filter(|value| value.is_string());
            row.insert(field.clone(), value.cloned().unwrap_or_default());
        }
        fact(FactKind::Message, row)
    }

    /// The record as a parked message, with fields from its headers.
    pub(super) fn parked(
        &self,
        headers: &BTreeMap<String, String>,
        prefix: &str,
    ) -> Result<Fact, String> {
        let mut row = Map::new();
        for (field, header) in headers {
            let place = || format!("{}/{} at {}", self.topic, self.partition, self.offset);
            let Some(value) = self.headers.get(header) else {
                return Err(format!("the record {} has no header `{header}`", place()));
            };
            let value = match field.as_str() {
                "partition" | "offset" => match value.parse::<i64>() {
                    Ok(number) => number.into(),
                    Err(_) => {
                        return Err(format!(
                            "header `{header}` of the record {} is no number: `{value}`",
                            place()
                        ));
                    }
                },
                "topic" | "group" => value.strip_prefix(prefix).unwrap_or(value).into(),
                _ => Value::String(value.clone()),
            };
            row.insert(field.clone(), value);
        }
        fact(FactKind::Parked, row)
    }

    fn place(&self) -> Map<String, Value> {
        Map::from_iter([
            ("topic".to_owned(), Value::String(self.topic.clone())),
            ("partition".to_owned(), self.partition.into()),
            ("offset".to_owned(), self.offset.into()),
        ])
    }
}

impl PartitionProgress {
    /// Records that are not committed yet.
    pub(super) fn lag(&self) -> u64 {
        u64::try_from(self.end - self.committed).unwrap_or(0)
    }

    pub(super) fn into_fact(self, group: &str) -> Fact {
        Fact::Progress {
            group: group.to_owned(),
            topic: self.topic,
            partition: self.partition,
            committed: self.committed,
            end: self.end,
        }
    }
}

/// The first or the next offset of each partition, in one request to each broker.
fn offsets(
    client: &BaseConsumer,
    all: &TopicPartitionList,
    which: Offset,
) -> Result<HashMap<(String, i32), i64>, String> {
    let mut asked = all.clone();
    asked.set_all_offsets(which).map_err(text)?;
    let answered = client.offsets_for_times(asked, ASK_LIMIT).map_err(text)?;
    let found = by_place(&answered)?;
    match found.len() == all.count() {
        true => Ok(found),
        false => Err("the broker does not say where its partitions end".to_owned()),
    }
}

/// The offsets of a list, without partitions for which there is none.
fn by_place(list: &TopicPartitionList) -> Result<HashMap<(String, i32), i64>, String> {
    let mut offsets = HashMap::new();
    for element in list.elements() {
        element.error().map_err(text)?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert((element.topic().to_owned(), element.partition()), offset);
        }
    }
    Ok(offsets)
}

fn forget_finished(
    reader: &BaseConsumer,
    waiting: &mut HashMap<(String, i32), i64>,
) -> Result<(), String> {
    let reached = by_place(&reader.position().map_err(text)?)?;
    waiting.retain(|place, end| reached.get(place).is_none_or(|reached| reached < end));
    Ok(())
}

/// Errors after which waiting is of no use; others come from a broker that is away for a moment.
fn is_fatal(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::Fatal
                | Code::UnknownTopicOrPartition
                | Code::AutoOffsetReset
                | Code::OffsetOutOfRange
        )
    )
}

fn text(error: KafkaError) -> String {
    error.to_string()
}
