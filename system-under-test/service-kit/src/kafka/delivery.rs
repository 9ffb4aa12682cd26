//! A producer with a thread that hears what became of its records.
//!
//! The library's own thread asks ten times a second, and spends the last millisecond of each wait asking without a pause: a
//! service that has nothing to send would use a hundredth of a core. This one asks every few seconds, or as soon as
//! something is heard.

use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, NoCustomPartitioner, ProducerContext};
use tokio::sync::oneshot;

use super::QuietClient;
use super::producer::Placed;

/// How long one wait for news takes: who drops the producer finds its thread gone after that at the latest.
const POLL: Duration = Duration::from_secs(5);

/// What became of a record.
pub(super) type Outcome = Result<Placed, KafkaError>;

/// Hands each outcome to whoever waits for it.
pub(super) struct Delivering(QuietClient);

impl ClientContext for Delivering {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Delivering {
    type DeliveryOpaque = Box<oneshot::Sender<Outcome>>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let outcome = match delivered {
            Ok(record) => Ok(Placed {
                partition: record.partition(),
                offset: record.offset(),
            }),
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever sent the record may not want to know.
        let _ = waiting.send(outcome);
    }
}

/// A producer whose records' outcomes are heard as long as it lives; clones share one.
#[derive(Clone)]
pub(super) struct PolledProducer(Arc<BaseProducer<Delivering>>);

impl PolledProducer {
    /// Creates the client and the thread.
    pub(super) fn new(config: &ClientConfig) -> Result<Self, KafkaError> {
        let producer = BaseProducer::<Delivering, NoCustomPartitioner>::from_config_and_context(
            config,
            Delivering(QuietClient),
        )?;
        let producer = Arc::new(producer);
        let polled = Arc::downgrade(&producer);
        let started = thread::Builder::new()
            .name("kafka deliveries".to_owned())
            .spawn(move || poll(&polled));
        match started {
            Ok(_) => Ok(Self(producer)),
            Err(error) => Err(KafkaError::ClientCreation(format!(
                "no thread for its deliveries: {error}"
            ))),
        }
    }
}

impl Deref for PolledProducer {
    type Target = BaseProducer<Delivering>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

fn poll(producer: &Weak<BaseProducer<Delivering>>) {
    while let Some(producer) = producer.upgrade() {
        producer.poll(POLL);
    }
}
