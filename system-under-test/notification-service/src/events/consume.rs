//! Order events: read strictly, told once, committed after the messages are sent.

use contracts::{OrderEvent, OrderEventKind, topic};
use service_kit::defences::Defences;
use service_kit::fail_point::{self, Injected};
use service_kit::kafka::{Consumption, Failure, Received, Work};
use service_kit::metrics::{Counters, Metrics};
use tokio_util::sync::CancellationToken;

use super::read::{Tolerance, read};
use crate::defences::Defence;
use crate::domain::{self, Channel, Confirmation};
use crate::provider::{Client, Gate, Outgoing, Sent};
use crate::store::{Ended, Planned, State, Store, is_permanent};
use crate::templates::{Fields, Strictness, Templates, Text};

/// The moment before a message is sent.
pub const BEFORE_SEND: &str = "notification.before-send";
/// The moment after a message was sent and before that is recorded.
pub const AFTER_SEND: &str = "notification.after-send-before-record";
/// The moment after everything is recorded and before the offset is committed.
pub const AFTER_RECORD: &str = "notification.after-record-before-commit";

/// What is consumed, and how.
pub fn consumption(defences: &Defences<Defence>) -> Consumption {
    Consumption {
        group: crate::NAME,
        topics: &[topic::ORDER_EVENTS],
        commit_after_work: defences.on(Defence::CommitAfterSend),
        poll_while_working: true,
        dead_letters: true,
        before_commit: Some(AFTER_RECORD),
    }
}

/// The work on order events.
pub struct Orders {
    store: Store,
    client: Client,
    gate: Gate,
    templates: Templates,
    defences: Defences<Defence>,
    sent: Counters,
    stop: CancellationToken,
}

/// One message to one customer, ready to be sent.
struct Letter {
    channel: Channel,
    recipient: String,
    text: Text,
    key: String,
}

impl Orders {
    /// Tells customers through a client and a gate, and remembers it in a store. A wait for the gate ends at `stop`.
    pub fn new(
        store: Store,
        client: Client,
        gate: Gate,
        defences: Defences<Defence>,
        metrics: &Metrics,
        stop: CancellationToken,
    ) -> Self {
        let help = "Attempts to send a message, by channel and result";
        Self {
            store,
            client,
            gate,
            templates: Templates::built_in(),
            defences,
            sent: metrics.counters("notification_attempts", help),
            stop,
        }
    }

    fn read(&self, message: &Received) -> Result<Option<OrderEvent>, Failure> {
        let tolerance = if self.defences.on(Defence::VersionTolerance) {
            Tolerance::Tolerant
        } else {
            Tolerance::Exact
        };
        match read(&message.payload, tolerance) {
            Ok(event) => Ok(Some(event)),
            Err(error) if self.defences.on(Defence::SchemaCheck) => {
                Err(Failure::Unprocessable(error.to_string()))
            }
            Err(error) => {
                tracing::warn!(%error, "an event is passed over");
                Ok(None)
            }
        }
    }

    /// What the customer is told when this event arrives.
    fn told(&self, event: &OrderEvent) -> Option<OrderEventKind> {
        let confirmation = if self.defences.on(Defence::PaidOnly) {
            Confirmation::WhenPaid
        } else {
            Confirmation::WhenPlaced
        };
        domain::told(event.body.kind, confirmation)
    }

    /// All messages of an event, written before the first of them is sent: all can be, or the event is parked.
    fn letters(&self, event: &OrderEvent, told: OrderEventKind) -> Result<Vec<Letter>, Failure> {
        let strictness = if self.defences.on(Defence::TemplateCheck) {
            Strictness::Whole
        } else {
            Strictness::AsItComes
        };
        let fields = fields(event);
        let letter = |channel: &Channel| {
            let recipient = domain::recipient(&event.body.customer_id, *channel)
                .ok_or_else(|| Failure::Unprocessable("the event names no customer".to_owned()))?;
            let text = self
                .templates
                .text(event.version, told, *channel, &fields, strictness)
                .map_err(|error| Failure::Unprocessable(error.to_string()))?;
            Ok(Letter {
                channel: *channel,
                recipient,
                text,
                key: domain::message_key(event.order_id, told, *channel),
            })
        };
        domain::channels(told).iter().map(letter).collect()
    }

    /// The letters that the customer has not got yet.
    async fn outstanding(
        &self,
        event: &OrderEvent,
        told: OrderEventKind,
    ) -> Result<Vec<Letter>, Failure> {
        let mut letters = self.letters(event, told)?;
        let planned: Vec<_> = letters
            .iter()
            .map(|letter| Planned {
                channel: letter.channel,
                recipient: &letter.recipient,
                template: &letter.text.template,
            })
            .collect();
        let begun = self.store.begin(event, told, &planned).await;
        let sent_before = begun.map_err(|error| failure(&error))?;
        if self.defences.on(Defence::Dedup) {
            letters.retain(|letter| !sent_before.contains(&letter.channel));
        }
        Ok(letters)
    }

    async fn deliver(
        &self,
        event: &OrderEvent,
        told: OrderEventKind,
        letter: &Letter,
        is_last: bool,
    ) -> Result<(), Failure> {
        pass(BEFORE_SEND).await?;
        let ended = |state| Ended {
            channel: letter.channel,
            state,
            provider_id: None,
            reason: None,
            is_last,
        };
        match self.attempt(event, told, letter).await? {
            Sent::Accepted { provider_id } => {
                pass(AFTER_SEND).await?;
                let sent = Ended {
                    provider_id: Some(&provider_id),
                    ..ended(State::Sent)
                };
                self.record(event, told, sent).await
            }
            Sent::Refused { why } => {
                let refused = Ended {
                    reason: Some(&why),
                    is_last: false,
                    ..ended(State::Refused)
                };
                self.record(event, told, refused).await?;
                Err(Failure::Unprocessable(format!(
                    "the provider refused: {why}"
                )))
            }
            Sent::Limited { .. } | Sent::Failed { .. } if self.defences.on(Defence::Retry) => Err(
                Failure::Unavailable("the message was not delivered yet".to_owned()),
            ),
            Sent::Limited { .. } | Sent::Failed { .. } => {
                tracing::warn!(key = letter.key, "a message is given up");
                let reason = Some("the only attempt failed");
                let given_up = Ended {
                    reason,
                    ..ended(State::GivenUp)
                };
                self.record(event, told, given_up).await
            }
        }
    }

    /// Sends once, when the gate allows.
    async fn attempt(
        &self,
        event: &OrderEvent,
        told: OrderEventKind,
        letter: &Letter,
    ) -> Result<Sent, Failure> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                return Err(Failure::Unavailable("the service stops".to_owned()));
            }
            () = self.gate.pass() => {}
        }
        let order_id = event.order_id.to_string();
        let message = Outgoing {
            channel: letter.channel.name(),
            recipient: &letter.recipient,
            template: &letter.text.template,
            subject: letter.text.subject.as_deref(),
            body: &letter.text.body,
            reference: &order_id,
            kind: told.name(),
        };
        let key = self
            .defences
            .on(Defence::MessageKey)
            .then_some(&*letter.key);
        let sent = self.client.send(message, key).await;
        let result = match &sent {
            Sent::Accepted { .. } => "accepted",
            Sent::Limited { wait } => {
                tracing::warn!(?wait, "the provider wants to be left alone");
                self.gate.quiet_for(*wait);
                "limited"
            }
            Sent::Refused { why } => {
                tracing::warn!(key = letter.key, why, "a message was refused");
                "refused"
            }
            Sent::Failed { why } => {
                tracing::warn!(key = letter.key, why, "a message was not delivered");
                "failed"
            }
        };
        let labels = vec![
            ("channel", letter.channel.name().to_owned()),
            ("result", result.to_owned()),
        ];
        self.sent.get_or_create(&labels).inc();
        Ok(sent)
    }

    async fn record(
        &self,
        event: &OrderEvent,
        told: OrderEventKind,
        ended: Ended<'_>,
    ) -> Result<(), Failure> {
        let recorded = self.store.record(event, told, ended).await;
        recorded.map_err(|error| failure(&error))
    }
}

impl Work for Orders {
    async fn process(&self, message: &Received) -> Result<(), Failure> {
        let Some(event) = self.read(message)? else {
            return Ok(());
        };
        let Some(told) = self.told(&event) else {
            return Ok(());
        };
        let letters = self.outstanding(&event, told).await?;
        for (index, letter) in letters.iter().enumerate() {
            let is_last = index + 1 == letters.len();
            self.deliver(&event, told, letter, is_last).await?;
        }
        if letters.is_empty() {
            let finished = self.store.finish(&event).await;
            finished.map_err(|error| failure(&error))?;
        }
        Ok(())
    }
}

/// The fields that texts may name.
fn fields(event: &OrderEvent) -> Fields {
    let body = &event.body;
    let units: i64 = body.lines.iter().map(|line| i64::from(line.quantity)).sum();
    Fields::from([
        ("order_id", event.order_id.to_string()),
        ("customer_id", body.customer_id.clone()),
        ("amount", domain::amount(body.amount_minor, &body.currency)),
        ("units", units.to_string()),
    ])
}

async fn pass(name: &'static str) -> Result<(), Failure> {
    let passed = fail_point::pass(name).await;
    passed.map_err(|injected: Injected| Failure::Unavailable(injected.to_string()))
}

fn failure(error: &sqlx::Error) -> Failure {
    if is_permanent(error) {
        Failure::Failed(error.to_string())
    } else {
        Failure::Unavailable(error.to_string())
    }
}
