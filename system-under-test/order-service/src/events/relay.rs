//! The relay: publishes what the outbox holds, oldest first within an order, and marks what Kafka acknowledged.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use service_kit::defences::Defences;
use service_kit::fail_point;
use service_kit::kafka::{Acknowledgement, Outgoing, ProduceError, Producer};
use service_kit::service::Service;
use service_kit::shutdown::Shutdown;
use tokio::sync::Notify;

use crate::config::Config;
use crate::defences::Defence;
use crate::store::outbox::{Batch, Sent, Unpublished};
use crate::store::{Store, StoreError};

/// Messages that wait are counted up to this number: counting must stay a small part of relaying them.
const COUNTED_AT_MOST: i64 = 10_000;

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
    parked: Counter,
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
            parked: service.metrics.counter(
                "outbox_parked",
                "Messages that Kafka will never take and that stay in the outbox",
            ),
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
        let mut messages_may_wait = true;
        while !self.shutdown.has_begun() {
            if messages_may_wait {
                let relayed = tokio::select! {
                    relayed = self.relay_batch() => relayed,
                    () = self.out_of_time() => break,
                };
                match relayed {
                    Ok(after) if after.published > 0 && after.waiting > 0 => continue,
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "the outbox was not relayed"),
                }
            }
            messages_may_wait = tokio::select! {
                () = self.stored.notified() => true,
                () = tokio::time::sleep(self.poll) => self.something_waits().await,
                () = self.shutdown.begun() => false,
            };
        }
        Ok(())
    }

    /// Ends when the shutdown has begun and a batch under way had half of the grace to come to its end. Messages of a
    /// batch that is given up then stay unpublished.
    async fn out_of_time(&self) {
        self.shutdown.begun().await;
        tokio::time::sleep(self.grace / 2).await;
    }

    /// Publishes one batch.
    async fn relay_batch(&self) -> Result<Relayed, StoreError> {
        let batch = self.store.next_batch(self.batch, self.hold).await?;
        if batch.messages.is_empty() {
            return Ok(Relayed::default());
        }
        let (sent, marked) = if self.defences.on(Defence::OutboxAck) {
            let sent = self.send_and_wait(&batch).await;
            fail_point::pass("order.after-publish-before-mark").await?;
            let marked = self.store.mark(batch, &sent, COUNTED_AT_MOST).await;
            (sent, marked)
        } else {
            let (sent, acknowledgements) = self.send(&batch);
            let marked = self.store.mark(batch, &sent, COUNTED_AT_MOST).await;
            drop(acknowledgements);
            (sent, marked)
        };
        let waiting = marked?;
        self.unpublished.set(waiting);
        self.published.inc_by(sent.published.len() as u64);
        self.parked.inc_by(sent.refused.len() as u64);
        Ok(Relayed {
            published: sent.published.len() + sent.refused.len(),
            waiting,
        })
    }

    /// Hands messages over to the client, in order: what it took, and what it will never take.
    fn send(&self, batch: &Batch) -> (Sent, Vec<(i64, Acknowledgement)>) {
        let mut sent = Sent::default();
        let mut waiting = Vec::with_capacity(batch.messages.len());
        for message in &batch.messages {
            match self.enqueue(message) {
                Ok(acknowledgement) => {
                    sent.published.push(message.outbox_id);
                    waiting.push((message.outbox_id, acknowledgement));
                }
                Err(error) => note(&mut sent, message.outbox_id, error),
            }
        }
        (sent, waiting)
    }

    fn enqueue(&self, message: &Unpublished) -> Result<Acknowledgement, ProduceError> {
        self.producer.enqueue(Outgoing {
            topic: &message.topic,
            key: &message.key,
            payload: message.payload.as_bytes(),
            trace: message.trace,
            headers: &[],
        })
    }

    /// Sends messages side by side; as published count those that Kafka acknowledged.
    async fn send_and_wait(&self, batch: &Batch) -> Sent {
        let (mut sent, waiting) = self.send(batch);
        sent.published.clear();
        let mut refused = Vec::new();
        for (outbox_id, acknowledgement) in waiting {
            match acknowledgement.wait().await {
                Ok(_) => sent.published.push(outbox_id),
                Err(ProduceError::Refused(_)) => refused.push(outbox_id),
                Err(error) => note(&mut sent, outbox_id, error),
            }
        }
        // Kafka refuses whole batches, so one that is too large takes its neighbours with it: who is to blame shows alone.
        for message in &batch.messages {
            if refused.contains(&message.outbox_id) {
                let alone = async { self.enqueue(message)?.wait().await };
                match alone.await {
                    Ok(_) => sent.published.push(message.outbox_id),
                    Err(error) => note(&mut sent, message.outbox_id, error),
                }
            }
        }
        sent
    }

    /// Whether messages wait that nobody told of: another instance's, or some that could not be sent before. One count,
    /// because most of the time there are none. A database that does not answer is asked for the messages themselves, so
    /// that the trouble is logged.
    async fn something_waits(&self) -> bool {
        match self.store.unpublished(COUNTED_AT_MOST).await {
            Ok(waiting) => {
                self.unpublished.set(waiting);
                waiting > 0
            }
            Err(_) => true,
        }
    }
}

/// What came of a batch.
#[derive(Debug, Clone, Copy, Default)]
struct Relayed {
    /// Messages that need not be sent any more.
    published: usize,
    /// Messages that wait after it, counted up to [`COUNTED_AT_MOST`].
    waiting: i64,
}

/// Notes why a message was not sent: one that can never be sent is parked, any other one stays for the next time.
fn note(sent: &mut Sent, outbox_id: i64, error: ProduceError) {
    if let ProduceError::Refused(reason) = error {
        tracing::error!(
            outbox_id,
            reason,
            "Kafka will never take this message: it is parked"
        );
        sent.refused.push((outbox_id, reason));
    } else {
        tracing::warn!(%error, outbox_id, "a message was not sent");
    }
}
