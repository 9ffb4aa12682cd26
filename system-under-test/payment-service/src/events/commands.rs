//! The work of one payment command: recognise it, make the payment, record it, answer. The offset is committed after.

use std::time::Duration;

use contracts::message::{MessageError, read, read_whatever_version, unknown_fields};
use contracts::payment::PaymentCommandKind;
use service_kit::defences::Defences;
use service_kit::fail_point;
use service_kit::kafka::{Failure, Producer, Received, Work};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::results;
use crate::defences::Protection;
use crate::domain::{Kind, provider_key};
use crate::payment::{Payments, Wanted};
use crate::provider::client::Order;
use crate::store::{Answered, EarlyRefund, Payment, Store, is_permanent};

/// Before anything is done about a command.
pub const BEFORE_WORK: &str = "payment.before-work";
/// Between the provider's booking and our record of it.
pub const AFTER_CHARGE: &str = "payment.after-charge-before-record";
/// Between our record and the answer.
pub const AFTER_RECORD: &str = "payment.after-record-before-publish";
/// Between the answer and the commit of the offset.
pub const AFTER_WORK: &str = "payment.after-work-before-commit";
/// All of them, in the order in which they are passed.
pub const FAIL_POINTS: &[&str] = &[BEFORE_WORK, AFTER_CHARGE, AFTER_RECORD, AFTER_WORK];

/// Processes payment commands.
pub struct Commands {
    store: Store,
    payments: Payments,
    producer: Producer,
    reading: Reading,
    /// Whether a command that was answered before is answered from the inbox.
    from_inbox: bool,
    /// Whether a refund that comes before its charge waits for it.
    in_sequence: bool,
    /// How long one payment is pursued before the queue is told that it takes longer.
    patience: Duration,
    shutdown: CancellationToken,
}

/// A command that was recognised.
struct Command {
    message_id: Uuid,
    topic: String,
    order_id: Uuid,
    kind: Kind,
    amount_minor: i64,
    currency: String,
}

/// What can be done about a command.
enum Understood {
    /// It can be carried out.
    Payable(Payment, Order),
    /// It waits for a charge that has not been made; nothing more is to be done now.
    Noted,
}

impl Commands {
    /// Everything that a command needs.
    pub fn new(
        store: Store,
        payments: Payments,
        producer: Producer,
        patience: Duration,
        shutdown: CancellationToken,
        defences: &Defences<Protection>,
    ) -> Self {
        fail_point::register(FAIL_POINTS);
        Self {
            store,
            payments,
            producer,
            reading: Reading::new(defences),
            from_inbox: defences.on(Protection::InboxDedup),
            in_sequence: defences.on(Protection::SequenceCheck),
            patience,
            shutdown,
        }
    }

    async fn answer(&self, message: &Received) -> Result<(), Failure> {
        fail_point::pass(BEFORE_WORK).await.map_err(injected)?;
        let command = self.reading.read(message)?;
        let (order_id, is_charge) = (command.order_id, command.kind == Kind::Charge);
        self.carry_out(command).await?;
        if is_charge && let Some(refund) = self.early_refund(order_id).await? {
            info!(%order_id, "charged; the refund that came before is made now");
            self.carry_out(refund).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, command: Command) -> Result<(), Failure> {
        let (order_id, message_id) = (command.order_id, command.message_id);
        if self.from_inbox
            && let Some(answer) = self.store.answer_to(message_id).await.map_err(stored)?
        {
            info!(%order_id, %message_id, "answered before; answering again");
            return results::publish(&self.producer, order_id, &answer).await;
        }
        let topic = command.topic.clone();
        let Understood::Payable(payment, order) = self.understand(command).await? else {
            info!(%order_id, "a refund before its charge: it waits");
            return Ok(());
        };
        let in_doubt = self.store.begin(&payment).await.map_err(stored)?;
        let (settled, attempts) = self.pay(&payment, &order, in_doubt).await?;
        let answer = results::answer(order_id, payment.kind, &settled)?;
        fail_point::pass(AFTER_CHARGE).await.map_err(injected)?;
        let answered = Answered {
            message_id,
            topic: &topic,
            order_id,
            outcome: &answer,
        };
        self.store
            .settle(payment.kind, &settled, attempts, answered)
            .await
            .map_err(stored)?;
        fail_point::pass(AFTER_RECORD).await.map_err(injected)?;
        results::publish(&self.producer, order_id, &answer).await
    }

    /// What a command asks of the provider.
    async fn understand(&self, command: Command) -> Result<Understood, Failure> {
        let (order_id, amount_minor) = (command.order_id, command.amount_minor);
        let order = match command.kind {
            Kind::Charge => Order::Charge {
                order_id,
                amount_minor,
                currency: command.currency.clone(),
            },
            Kind::Refund => match self.charge_before(&command).await? {
                Some(charge_id) => Order::Refund {
                    charge_id,
                    amount_minor,
                },
                None => return Ok(Understood::Noted),
            },
        };
        let payment = Payment {
            order_id,
            kind: command.kind,
            amount_minor,
            currency: command.currency,
            provider_key: provider_key(order_id, command.kind),
        };
        Ok(Understood::Payable(payment, order))
    }

    /// The charge that a refund gives back; none when the refund was noted to be made after it.
    async fn charge_before(&self, refund: &Command) -> Result<Option<String>, Failure> {
        let order_id = refund.order_id;
        let charge = self.store.charge_of(order_id).await.map_err(stored)?;
        if charge.is_some() {
            return Ok(charge);
        }
        if self.in_sequence {
            let early = EarlyRefund {
                order_id,
                message_id: refund.message_id,
                topic: refund.topic.clone(),
                amount_minor: refund.amount_minor,
                currency: refund.currency.clone(),
            };
            if self.store.note_early_refund(&early).await.map_err(stored)? {
                return Ok(None);
            }
        }
        let charge = self.store.charge_of(order_id).await.map_err(stored)?;
        let missing = || Failure::Failed("no charge to give back".to_owned());
        charge.map(Some).ok_or_else(missing)
    }

    async fn early_refund(&self, order_id: Uuid) -> Result<Option<Command>, Failure> {
        if !self.in_sequence {
            return Ok(None);
        }
        let charged = self.store.charge_of(order_id).await.map_err(stored)?;
        let found = match charged {
            Some(_) => self.store.early_refund(order_id).await.map_err(stored)?,
            None => None,
        };
        Ok(found.map(|refund| Command {
            message_id: refund.message_id,
            topic: refund.topic,
            order_id,
            kind: Kind::Refund,
            amount_minor: refund.amount_minor,
            currency: refund.currency,
        }))
    }

    /// Pursues the payment for as long as our patience lasts.
    async fn pay(
        &self,
        payment: &Payment,
        order: &Order,
        in_doubt: bool,
    ) -> Result<(crate::domain::Settled, i32), Failure> {
        let stop = self.shutdown.child_token();
        let wanted = Wanted {
            order,
            key: &payment.provider_key,
            in_doubt,
        };
        let doubt = |attempts| async move {
            if let Err(error) = self.store.note_attempts(payment, attempts, true).await {
                warn!(order_id = %payment.order_id, %error, "the doubt was not recorded");
            }
        };
        let pursuit = self.payments.pursue(&wanted, &stop, doubt);
        tokio::pin!(pursuit);
        let pursued = tokio::select! {
            pursued = &mut pursuit => pursued,
            () = tokio::time::sleep(self.patience) => {
                stop.cancel();
                pursuit.await
            }
        };
        if let Some(settled) = pursued.settled {
            return Ok((settled, pursued.attempts));
        }
        let noted = self
            .store
            .note_attempts(payment, pursued.attempts, pursued.doubtful)
            .await;
        noted.map_err(stored)?;
        Err(Failure::Unavailable(
            "the provider has not decided yet".to_owned(),
        ))
    }
}

/// How a payload is taken for a command.
#[derive(Debug, Clone, Copy)]
struct Reading {
    check_version: bool,
    tolerate_additions: bool,
}

impl Reading {
    fn new(defences: &Defences<Protection>) -> Self {
        Self {
            check_version: defences.on(Protection::SchemaCheck),
            tolerate_additions: defences.on(Protection::VersionTolerance),
        }
    }

    fn read(self, message: &Received) -> Result<Command, Failure> {
        let unprocessable = |error: MessageError| Failure::Unprocessable(error.to_string());
        let reader = if self.check_version {
            read::<PaymentCommandKind>
        } else {
            read_whatever_version::<PaymentCommandKind>
        };
        let command = reader(&message.payload).map_err(unprocessable)?;
        if !self.tolerate_additions {
            let unknown = unknown_fields(&message.payload, &command).map_err(unprocessable)?;
            if !unknown.is_empty() {
                return Err(Failure::Unprocessable(format!(
                    "unknown fields {}",
                    unknown.join(", ")
                )));
            }
        }
        let (kind, amount_minor, currency) = match command.body {
            PaymentCommandKind::Charge {
                amount_minor,
                currency,
                ..
            } => (Kind::Charge, amount_minor, currency),
            PaymentCommandKind::Refund {
                amount_minor,
                currency,
            } => (Kind::Refund, amount_minor, currency),
        };
        if amount_minor <= 0 {
            return Err(Failure::Unprocessable(format!(
                "an amount of {amount_minor}"
            )));
        }
        Ok(Command {
            message_id: command.message_id,
            topic: message.topic.clone(),
            order_id: command.order_id,
            kind,
            amount_minor,
            currency,
        })
    }
}

impl Work for Commands {
    async fn process(&self, message: &Received) -> Result<(), Failure> {
        self.answer(message).await
    }
}

fn injected(injected: fail_point::Injected) -> Failure {
    Failure::Unavailable(injected.to_string())
}

fn stored(error: sqlx::Error) -> Failure {
    if is_permanent(&error) {
        Failure::Failed(error.to_string())
    } else {
        Failure::Unavailable(error.to_string())
    }
}
