//! How far something that is no member of a group has read a topic: where the topic ends now, and an offset for each
//! partition that is kept at the broker under a group's name, where every tool that shows lag finds it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::{KafkaSettings, QuietClient};

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that is still there.
    pub first: i64,
    /// The next offset that will be written.
    pub end: i64,
}

/// Why the broker was not asked.
#[derive(Debug, thiserror::Error)]
pub enum BookmarkError {
    /// The broker refused, or did not answer in time.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The broker knows no such topic.
    #[error("the topic {0} is not known")]
    NoTopic(String),
    /// The time was up before every partition had answered.
    #[error("not every partition answered in time")]
    TimedOut,
    /// The process is going down.
    #[error("the process is going down")]
    GoingDown,
}

/// A bookmark in one topic; clones share one client.
#[derive(Clone)]
pub struct Bookmark {
    client: Arc<BaseConsumer<QuietClient>>,
    topic: String,
    limit: Duration,
}

impl Bookmark {
    /// Creates the client; it connects when it is first asked. `limit` bounds every question.
    ///
    /// # Errors
    /// The client refuses its configuration.
    pub fn new(
        settings: &KafkaSettings,
        instance: &str,
        group: &str,
        topic: &str,
        limit: Duration,
    ) -> Result<Self, KafkaError> {
        let client = settings
            .consumer(instance, group)
            .create_with_context(QuietClient)?;
        Ok(Self {
            client: Arc::new(client),
            topic: settings.prefixed(topic),
            limit,
        })
    }

    /// Where each partition begins and ends now.
    ///
    /// # Errors
    /// [`BookmarkError`]; no partition is left out.
    pub async fn bounds(&self) -> Result<BTreeMap<i32, Bounds>, BookmarkError> {
        let bookmark = self.clone();
        blocking(move || bookmark.ask_bounds()).await
    }

    fn ask_bounds(&self) -> Result<BTreeMap<i32, Bounds>, BookmarkError> {
        let begun = Instant::now();
        let metadata = self.client.fetch_metadata(Some(&self.topic), self.limit)?;
        let topics = metadata.topics();
        let partitions = topics
            .iter()
            .find(|topic| topic.name() == self.topic && topic.error().is_none())
            .map(|topic| topic.partitions())
            .filter(|partitions| !partitions.is_empty())
            .ok_or_else(|| BookmarkError::NoTopic(self.topic.clone()))?;
        let mut asked = TopicPartitionList::new();
        for partition in partitions {
            asked.add_partition(&self.topic, partition.id());
        }
        let first = self.offsets(asked.clone(), Offset::Beginning, begun)?;
        let end = self.offsets(asked, Offset::End, begun)?;
        let both = first.into_iter().zip(end);
        Ok(both
            .map(|((partition, first), (_, end))| (partition, Bounds { first, end }))
            .collect())
    }

    /// The first or the next offset of each partition, in one request to each broker; in what is left of the time.
    fn offsets(
        &self,
        mut asked: TopicPartitionList,
        which: Offset,
        begun: Instant,
    ) -> Result<BTreeMap<i32, i64>, BookmarkError> {
        let left = self.limit.checked_sub(begun.elapsed());
        let left = left.filter(|left| !left.is_zero());
        let left = left.ok_or(BookmarkError::TimedOut)?;
        asked.set_all_offsets(which)?;
        let count = asked.count();
        let mut offsets = BTreeMap::new();
        for partition in self.client.offsets_for_times(asked, left)?.elements() {
            partition.error()?;
            if let Offset::Offset(offset) = partition.offset() {
                offsets.insert(partition.partition(), offset);
            }
        }
        // A partition that is not answered for must not look as if it were not there.
        if offsets.len() == count {
            Ok(offsets)
        } else {
            Err(BookmarkError::TimedOut)
        }
    }

    /// Keeps the next offset to be read for each of these partitions.
    ///
    /// # Errors
    /// [`BookmarkError`]; whether the offsets were kept is then unknown, and keeping them again is safe.
    pub async fn keep(&self, next: BTreeMap<i32, i64>) -> Result<(), BookmarkError> {
        if next.is_empty() {
            return Ok(());
        }
        let bookmark = self.clone();
        let kept = blocking(move || bookmark.commit(&next));
        tokio::time::timeout(self.limit, kept)
            .await
            .map_err(|_| BookmarkError::TimedOut)?
    }

    fn commit(&self, next: &BTreeMap<i32, i64>) -> Result<(), BookmarkError> {
        let mut places = TopicPartitionList::new();
        for (partition, offset) in next {
            places.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))?;
        }
        Ok(self.client.commit(&places, CommitMode::Sync)?)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BookmarkError> + Send + 'static,
) -> Result<T, BookmarkError> {
    // A blocking task is cancelled only when the runtime goes down.
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(BookmarkError::GoingDown))
}
