//! A topic that every instance hears in full from now on: no group, nothing committed, nothing heard twice.
//!
//! For what must reach all instances and does no harm when it is lost, such as that a value which is kept has changed.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::QuietClient;
use super::message::Received;
use super::settings::KafkaSettings;
use crate::health::Health;
use crate::service::Service;
use crate::shutdown::Shutdown;

/// Pause between two attempts to find out where a topic ends.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What a service does with what it hears. Nothing is repeated: what fails here is lost.
pub trait Hear: Send + Sync + 'static {
    /// Everything that is written from now on will be heard; what was written before is not known.
    fn begin(&self) -> impl Future<Output = ()> + Send;
    /// Hears one message.
    fn hear(&self, message: &Received) -> impl Future<Output = ()> + Send;
}

/// Somebody who listens.
#[derive(Debug, Clone)]
pub struct Listener {
    begun: Arc<AtomicBool>,
}

impl Listener {
    /// Adds the check that it has begun to listen. It stays passed afterwards.
    pub fn check_begun(&self, health: &Health, name: &'static str) {
        let begun = self.begun.clone();
        health.check(name, move || {
            let begun = begun.load(Ordering::Acquire);
            async move {
                begun
                    .then_some(())
                    .ok_or_else(|| "has not begun to listen yet".to_owned())
            }
        });
    }
}

/// Starts listening to a topic (without prefix). The task belongs to the service and ends at shutdown; a broker that is not
/// there is waited for.
///
/// # Errors
/// The client refuses its configuration.
pub fn listen<H: Hear>(
    service: &Service,
    settings: &KafkaSettings,
    topic: &str,
    hear: H,
) -> Result<Listener, KafkaError> {
    let name = format!("{}-listening", service.name);
    let config = settings.listener(&service.common.instance, &name);
    let client: StreamConsumer<QuietClient> = config.create_with_context(QuietClient)?;
    let listening = Listening {
        client: Arc::new(client),
        topic: settings.prefixed(topic),
        prefix: settings.prefix.clone(),
        answer_limit: settings.socket_timeout,
        shutdown: service.shutdown.clone(),
        begun: Arc::default(),
        hear,
    };
    let listener = Listener {
        begun: listening.begun.clone(),
    };
    service.spawn("listening", listening.run());
    Ok(listener)
}

struct Listening<H> {
    client: Arc<StreamConsumer<QuietClient>>,
    topic: String,
    prefix: String,
    answer_limit: Duration,
    shutdown: Shutdown,
    begun: Arc<AtomicBool>,
    hear: H,
}

impl<H: Hear> Listening<H> {
    async fn run(self) -> Result<(), KafkaError> {
        let outcome = self.listen().await;
        // Closing waits for the broker.
        let closing = tokio::task::spawn_blocking(move || drop(self.client));
        if let Err(panic) = closing.await {
            tracing::error!(%panic, "a listening client did not close");
        }
        outcome
    }

    async fn listen(&self) -> Result<(), KafkaError> {
        let Some(end) = self.find_end().await else {
            return Ok(());
        };
        self.client.assign(&end)?;
        self.hear.begin().await;
        self.begun.store(true, Ordering::Release);
        loop {
            let received = tokio::select! {
                biased;
                () = self.shutdown.begun() => return Ok(()),
                received = self.client.recv() => {
                    received.map(|message| Received::new(&message, &self.prefix))
                }
            };
            match received {
                Ok(message) => self.hear.hear(&message).await,
                Err(error) => {
                    if self.client.client().fatal_error().is_some() {
                        return Err(error);
                    }
                    tracing::info!(%error, "the Kafka client reports");
                }
            }
        }
    }

    /// Where every partition ends now; none when the service stops before that is known.
    async fn find_end(&self) -> Option<TopicPartitionList> {
        loop {
            let (client, topic, limit) =
                (self.client.clone(), self.topic.clone(), self.answer_limit);
            let asking = tokio::task::spawn_blocking(move || end_of(&client, &topic, limit));
            // A broker that does not answer must not hold up the way down: the question is left to itself then.
            let asked = tokio::select! {
                () = self.shutdown.begun() => return None,
                asked = asking => asked,
            };
            match asked {
                Ok(Ok(end)) if end.count() > 0 => return Some(end),
                Ok(Ok(_)) => tracing::info!(topic = self.topic, "the topic has no partitions yet"),
                Ok(Err(error)) => tracing::info!(%error, topic = self.topic, "where does it end?"),
                Err(panic) => tracing::error!(%panic, "asking where a topic ends failed"),
            }
            tokio::select! {
                () = self.shutdown.begun() => return None,
                () = tokio::time::sleep(ASK_AGAIN) => {}
            }
        }
    }
}

fn end_of(
    client: &StreamConsumer<QuietClient>,
    topic: &str,
    limit: Duration,
) -> Result<TopicPartitionList, KafkaError> {
    let metadata = client.fetch_metadata(Some(topic), limit)?;
    let mut end = TopicPartitionList::new();
    let partitions = metadata.topics().iter().flat_map(|one| one.partitions());
    for partition in partitions {
        let (_, high) = client.fetch_watermarks(topic, partition.id(), limit)?;
        end.add_partition_offset(topic, partition.id(), Offset::Offset(high))?;
    }
    Ok(end)
}
