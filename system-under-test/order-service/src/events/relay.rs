//! The relay: publishes what the outbox holds, oldest first within an order, and marks what Kafka acknowledged.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use service_kit::defences::Defences;
use service_kit::fail_point;
use service_kit::kafka::{Acknowledgement, Outgoing, Producer};
use service_kit::service::Service;
use service_kit::shutdown::Shutdown;
use tokio::sync::Notify;

use crate::config::Config;
use crate::defences::Defence;
use crate::store::outbox::{Batch, Unpublished};
use crate::store::{Store, StoreError};

/// Beyond the delivery timeout, for the marking itself.
const HOLD_MARGIN: Duration = Duration::from_secs(5);

/// Publishes the outbox.
pub struct Relay {
    store: Store,
    producer: Producer,
    stored: Arc<Notify>,
    defences: Defences<Defence>,
    poll: Duration,
    batch: i64,
    hold: Duration,
    grace: Duration,
    shutdown: Shutdown,
    published: Counter,
    unpublished: Gauge,
}

impl Relay {
    /// A relay that is told of new messages through `stored`, and looks by itself now and then.
    pub fn new(
        store: Store,
        producer: Producer,
        stored: Arc<Notify>,
        config: &Config,
        service: &Service,
    ) -> Self {
        Self {
            store,
            producer,
            stored,
            defences: config.defences.clone(),
            poll: config.outbox_poll,
            batch: config.outbox_batch,
            hold: config.kafka.delivery_timeout + HOLD_MARGIN,
            grace: service.common.shutdown_grace,
            shutdown: service.shutdown.clone(),
            published: service
                .metrics
                .counter("outbox_published", "Messages published from the outbox"),
            unpublished: service
                .metrics
                .gauge("outbox_unpublished", "Messages that wait in the outbox"),
        }
    }

    /// Relays until the shutdown. Trouble with database or Kafka is waited out.
    ///
    /// # Errors
    /// None; the type is what the service's tasks have.
    pub async fn run(self) -> Result<(), StoreError> {
        while !self.shutdown.has_begun() {
            let relayed = tokio::select! {
                relayed = self.relay_batch() => relayed,
                () = self.out_of_time() => break,
            };
            let more = match relayed {
                Ok(published) => published > 0,
                Err(error) => {
                    tracing::warn!(%error, "the outbox was not relayed");
                    false
                }
            };
            if more {
                continue;
            }
            self.measure().await;
            tokio::select! {
                () = self.stored.notified() => {}
                () = tokio::time::sleep(self.poll) => {}
                () = self.shutdown.begun() => {}
            }
        }
        Ok(())
    }

    /// Ends when the shutdown has begun and a batch under way had half of the grace to come to its end. Messages of a
    /// batch that is given up then stay unpublished.
    async fn out_of_time(&self) {
        self.shutdown.begun().await;
        tokio::time::sleep(self.grace / 2).await;
    }

    /// Publishes one batch; returns how many messages were published.
    async fn relay_batch(&self) -> Result<usize, StoreError> {
        let batch = self.store.next_batch(self.batch, self.hold).await?;
        if batch.messages.is_empty() {
            return Ok(0);
        }
        let (published, marked) = if self.defences.on(Defence::OutboxAck) {
            let published = self.send_and_wait(&batch).await;
            fail_point::pass("order.after-publish-before-mark").await?;
            let marked = self.store.mark_published(batch, &published).await;
            (published, marked)
        } else {
            let (published, waiting): (Vec<_>, Vec<_>) = self.send(&batch).into_iter().unzip();
            let marked = self.store.mark_published(batch, &published).await;
            drop(waiting);
            (published, marked)
        };
        marked?;
        self.published.inc_by(published.len() as u64);
        Ok(published.len())
    }

    /// Hands messages over to the client, in order; returns those that it took.
    fn send(&self, batch: &Batch) -> Vec<(i64, Acknowledgement)> {
        batch
            .messages
            .iter()
            .filter_map(|message| Some((message.outbox_id, self.enqueue(message)?)))
            .collect()
    }

    fn enqueue(&self, message: &Unpublished) -> Option<Acknowledgement> {
        let record = Outgoing {
            topic: &message.topic,
            key: &message.key,
            payload: message.payload.as_bytes(),
            trace: message.trace,
            headers: &[],
        };
        let enqueued = self.producer.enqueue(record);
        enqueued
            .inspect_err(
                |error| tracing::warn!(%error, order_id = message.key, "a message was not sent"),
            )
            .ok()
    }

    /// Sends messages side by side; returns those that Kafka acknowledged. The others stay unpublished.
    async fn send_and_wait(&self, batch: &Batch) -> Vec<i64> {
        let mut acknowledged = Vec::with_capacity(batch.messages.len());
        for (outbox_id, acknowledgement) in self.send(batch) {
            match acknowledgement.wait().await {
                Ok(_) => acknowledged.push(outbox_id),
                Err(error) => tracing::warn!(%error, outbox_id, "a message was not acknowledged"),
            }
        }
        acknowledged
    }

    async fn measure(&self) {
        if let Ok(count) = self.store.unpublished().await {
            self.unpublished.set(count);
        }
    }
}
