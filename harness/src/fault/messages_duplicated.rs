//! `messages_duplicated`: every message of a topic is there twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use rdkafka::{Message, consumer::StreamConsumer, message::OwnedMessage, producer::FutureProducer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Cause, Mistake, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    processes::{Work, locked},
};
use crate::{
    mechanism::{
        MechanismError,
        kafka::{Kafka, Offsets},
    },
    testbed::Pipeline,
};

/// Most messages that are published again before their acknowledgements are waited for.
const AT_ONCE: usize = 200;
/// Everything that was published before the fault heals has its copy within this time.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(15);

/// Every message that comes into a topic is published once more, with the same key, headers and payload, in the same partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessagesDuplicated {
    /// The topics, without the drill's prefix.
    #[schemars(length(min = 1))]
    pub topics: Vec<String>,
}

impl FaultKind for MessagesDuplicated {
    const NAME: &'static str = "messages_duplicated";
    const EXAMPLE: &'static str =
        r#"When the fault "every-event-twice" is injected until it was felt 50 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::CopiesReadBack];

    fn target(&self) -> String {
        self.topics.join(", ")
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        self.topics
            .iter()
            .map(|topic| ("topics", Named::Topic(topic)))
            .collect()
    }

    fn mistakes(&self) -> Vec<Mistake> {
        if self.topics.is_empty() {
            return vec![Mistake::new(
                "topics",
                "no topic is named",
                "write `topics = [\"...\"]`",
            )];
        }
        Vec::new()
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let kafka = Kafka::through(access(scene.pipeline.as_ref())?);
        let mut doubling = Doubling {
            copiers: Vec::new(),
            work: Work::default(),
        };
        for topic in &self.topics {
            let from = kafka.ends(topic).await?;
            let copier = Arc::new(Copier {
                producer: kafka.producer()?,
                tail: kafka.tail(topic, &from).await?,
                kafka: kafka.clone(),
                topic: topic.clone(),
                seen: Mutex::new(from),
                own: Mutex::default(),
                read_back: AtomicU64::new(0),
                failure: Mutex::default(),
            });
            doubling.copiers.push(Arc::clone(&copier));
            doubling.work.spawn(copier.run(doubling.work.stop.clone()));
        }
        Ok(Box::new(doubling))
    }
}

/// The broker, which this testbed must have.
pub(super) fn access(pipeline: &dyn Pipeline) -> Result<crate::testbed::KafkaAccess, Cause> {
    pipeline.kafka().ok_or_else(|| Cause::Unsupported {
        what: "reach a Kafka broker".to_owned(),
    })
}

/// Publishes what comes into one topic once more.
struct Copier {
    kafka: Kafka,
    topic: String,
    producer: FutureProducer,
    tail: StreamConsumer,
    /// The next offset of each partition that was not dealt with.
    seen: Mutex<Offsets>,
    /// Where copies lie that were not read back yet.
    own: Mutex<BTreeMap<i32, BTreeSet<i64>>>,
    read_back: AtomicU64,
    failure: Mutex<Option<MechanismError>>,
}

impl Copier {
    /// Copies until told to stop, and then on until everything that was there at that moment is dealt with.
    async fn run(self: Arc<Self>, stop: CancellationToken) {
        if let Err(failure) = self.copy(&stop).await {
            tracing::warn!(topic = self.topic, %failure, "messages are not duplicated any more");
            *locked(&self.failure) = Some(failure);
        }
    }

    async fn copy(&self, stop: &CancellationToken) -> Result<(), MechanismError> {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                batch = self.next_batch() => self.deal_with(batch?).await?,
            }
        }
        let goal = self.kafka.ends(&self.topic).await?;
        let deadline = Instant::now() + CATCH_UP_WITHIN;
        while self.is_behind(&goal) {
            let batch = tokio::time::timeout_at(deadline, self.next_batch())
                .await
                .map_err(|_| {
                    MechanismError::failed(
                        format!("publishing the messages of {} once more", self.topic),
                        format!("not done within {} s", CATCH_UP_WITHIN.as_secs()),
                    )
                })?;
            self.deal_with(batch?).await?;
        }
        // The copies made last are read back too, so that the witness has seen all of them.
        while locked(&self.own).values().any(|own| !own.is_empty()) {
            match tokio::time::timeout_at(deadline, self.next_batch()).await {
                Ok(batch) => self.deal_with_copies(&batch?),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// At least one message, and those that are there already.
    async fn next_batch(&self) -> Result<Vec<OwnedMessage>, MechanismError> {
        let failed = |error| MechanismError::failed(format!("following {}", self.topic), error);
        let first = self.tail.recv().await.map_err(failed)?.detach();
        let mut batch = vec![first];
        while batch.len() < AT_ONCE {
            match self.tail.recv().now_or_never() {
                Some(message) => batch.push(message.map_err(failed)?.detach()),
                None => break,
            }
        }
        Ok(batch)
    }

    /// Publishes the originals of a batch again. Copies are told by the places that the broker gave them; no message is
    /// read on before all those places are known, so that no copy is taken for an original.
    async fn deal_with(&self, batch: Vec<OwnedMessage>) -> Result<(), MechanismError> {
        let originals = self.without_copies(batch);
        let copies = self.kafka.publish_again(&self.producer, &originals).await?;
        let mut own = locked(&self.own);
        for (partition, offset) in copies {
            own.entry(partition).or_default().insert(offset);
        }
        Ok(())
    }

    /// Counts what is a copy and forgets what is none: it came after the fault.
    fn deal_with_copies(&self, batch: &[OwnedMessage]) {
        self.without_copies(batch.to_vec());
    }

    fn without_copies(&self, batch: Vec<OwnedMessage>) -> Vec<OwnedMessage> {
        let mut own = locked(&self.own);
        let mut seen = locked(&self.seen);
        batch
            .into_iter()
            .filter(|message| {
                let place = (message.partition(), message.offset());
                seen.insert(place.0, place.1 + 1);
                let is_copy = own
                    .get_mut(&place.0)
                    .is_some_and(|copies| copies.remove(&place.1));
                if is_copy {
                    self.read_back.fetch_add(1, Ordering::AcqRel);
                }
                !is_copy
            })
            .collect()
    }

    fn is_behind(&self, goal: &Offsets) -> bool {
        let seen = locked(&self.seen);
        goal.iter()
            .any(|(partition, end)| seen.get(partition).copied().unwrap_or(0) < *end)
    }
}

struct Doubling {
    copiers: Vec<Arc<Copier>>,
    work: Work,
}

impl Doubling {
    fn failures(&self) -> Result<(), Cause> {
        let failures = self
            .copiers
            .iter()
            .filter_map(|copier| locked(&copier.failure).clone())
            .map(Cause::from);
        Cause::of_all(failures.collect())
    }
}

impl InForce for Doubling {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async {
            self.failures()?;
            let read_back = self
                .copiers
                .iter()
                .map(|copier| copier.read_back.load(Ordering::Acquire));
            Ok(read_back.sum())
        })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(async {
            self.work.finish().await?;
            self.failures()?;
            Ok(self
                .copiers
                .iter()
                .map(|copier| format!("{} gets every message once", copier.topic))
                .collect())
        })
    }
}
