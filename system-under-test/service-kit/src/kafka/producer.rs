//! Records in, acknowledgements out.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};
use tokio::sync::oneshot;

use super::KafkaSettings;
use super::delivery::{Outcome, PolledProducer};
use crate::trace::{TRACEPARENT, Trace};

/// A record to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The topic, without prefix.
    pub topic: &'a str,
    /// Records with equal keys stay in order.
    pub key: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// The trace it belongs to; [`Trace::current`] where the caller has none of its own.
    pub trace: Option<Trace>,
    /// More headers.
    pub headers: &'a [(&'a str, String)],
}

/// Where an acknowledged record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
}

/// Why a record was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// The client's buffer is full: certainly nothing was sent. Try again later.
    #[error("the producer's buffer is full")]
    BufferFull,
    /// The record can never be sent as it is, for instance because it is too large.
    #[error("the record was refused: {0}")]
    Refused(String),
    /// No acknowledgement within the delivery timeout: whether the record was stored is unknown.
    #[error("not acknowledged: {0}")]
    NotAcknowledged(String),
}

/// Sends records; clones share one client.
#[derive(Clone)]
pub struct Producer {
    client: PolledProducer,
    prefix: Arc<str>,
}

impl Producer {
    /// Creates the client. It connects by itself and, when idempotent, asks for its producer id at once; that takes half
    /// a second, so create it at start-up, before the first record is due.
    ///
    /// # Errors
    /// The client refuses its configuration.
    pub fn new(
        settings: &KafkaSettings,
        instance: &str,
        idempotent: bool,
    ) -> Result<Self, KafkaError> {
        Ok(Self {
            client: PolledProducer::new(&settings.producer(instance, idempotent))?,
            prefix: settings.prefix.as_str().into(),
        })
    }

    /// Hands a record to the client. Records of one key that are handed over in order are stored in order.
    /// Dropping the acknowledgement does not take the record back.
    ///
    /// # Errors
    /// [`ProduceError::BufferFull`], [`ProduceError::Refused`].
    pub fn enqueue(&self, record: Outgoing<'_>) -> Result<Acknowledgement, ProduceError> {
        let topic = format!("{}{}", self.prefix, record.topic);
        let trace = record
            .trace
            .or_else(Trace::current)
            .unwrap_or_else(Trace::start)
            .to_string();
        let mut headers = OwnedHeaders::new().insert(Header {
            key: TRACEPARENT,
            value: Some(&trace),
        });
        for (key, value) in record.headers {
            headers = headers.insert(Header {
                key,
                value: Some(value),
            });
        }
        let (sender, delivery) = oneshot::channel();
        let record = BaseRecord::with_opaque_to(&topic, Box::new(sender))
            .key(record.key)
            .payload(record.payload)
            .headers(headers);
        match self.client.send(record) {
            Ok(()) => Ok(Acknowledgement { delivery }),
            Err((error, _)) => Err(not_accepted(&error)),
        }
    }

    /// Sends a record and waits for its acknowledgement, at most the delivery timeout.
    ///
    /// # Errors
    /// [`ProduceError`].
    pub async fn send(&self, record: Outgoing<'_>) -> Result<Placed, ProduceError> {
        self.enqueue(record)?.wait().await
    }

    /// Adds the check that Kafka answered at least once. It stays passed afterwards, also when Kafka goes away: a
    /// service whose outbox keeps its messages can work without.
    pub fn check_reached_once(&self, health: &crate::health::Health) {
        let reached = Arc::new(std::sync::OnceLock::new());
        let client = self.client.clone();
        health.check("kafka", move || {
            let (reached, client) = (reached.clone(), client.clone());
            async move {
                if reached.get().is_some() {
                    return Ok(());
                }
                let asked = tokio::task::spawn_blocking(move || {
                    client.client().fetch_cluster_id(Duration::from_millis(500))
                });
                match asked.await {
                    Ok(Some(_)) => {
                        let _set_by_another_probe = reached.set(());
                        Ok(())
                    }
                    _ => Err("no answer yet".to_owned()),
                }
            }
        });
    }

    /// Waits until everything was acknowledged or given up, at most `limit`. True when nothing is left.
    pub async fn flush(&self, limit: Duration) -> bool {
        let client = self.client.clone();
        let flushed = tokio::task::spawn_blocking(move || client.flush(limit)).await;
        matches!(flushed, Ok(Ok(())))
    }
}

/// The promise of an acknowledgement.
#[must_use = "a record counts as sent only when it was acknowledged"]
pub struct Acknowledgement {
    delivery: oneshot::Receiver<Outcome>,
}

impl Acknowledgement {
    /// Waits for the acknowledgement, at most the delivery timeout.
    ///
    /// # Errors
    /// [`ProduceError::Refused`], [`ProduceError::NotAcknowledged`].
    pub async fn wait(self) -> Result<Placed, ProduceError> {
        match self.delivery.await {
            Ok(Ok(placed)) => Ok(placed),
            Ok(Err(error)) => Err(not_delivered(&error)),
            Err(_) => Err(ProduceError::NotAcknowledged(
                "the producer was closed".to_owned(),
            )),
        }
    }
}

fn not_accepted(error: &KafkaError) -> ProduceError {
    match error {
        KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => ProduceError::BufferFull,
        other => not_delivered(other),
    }
}

fn not_delivered(error: &KafkaError) -> ProduceError {
    match error {
        KafkaError::MessageProduction(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidRecord,
        ) => ProduceError::Refused(error.to_string()),
        other => ProduceError::NotAcknowledged(other.to_string()),
    }
}
