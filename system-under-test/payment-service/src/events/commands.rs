//! The work of one payment command: recognise it, make the payment, record it, answer. The offset is committed after.

use std::time::Duration;

use contracts::message::read;
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
use crate::store::{Answered, Payment, Store, is_permanent};

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
    /// Whether a command that was answered before is answered from the inbox.
    from_inbox: bool,
    /// How long one payment is pursued before the queue is told that it takes longer.
    patience: Duration,
    shutdown: CancellationToken,
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
        let from_inbox = defences.on(Protection::InboxDedup);
        Self {
            store,
            payments,
            producer,
            from_inbox,
            patience,
            shutdown,
        }
    }

    async fn answer(&self, message: &Received) -> Result<(), Failure> {
        fail_point::pass(BEFORE_WORK).await.map_err(injected)?;
        let command = read::<PaymentCommandKind>(&message.payload)
            .map_err(|error| Failure::Unprocessable(error.to_string()))?;
        let order_id = command.order_id;
        if self.from_inbox
            && let Some(answer) = self
                .store
                .answer_to(command.message_id)
                .await
                .map_err(stored)?
        {
            info!(%order_id, message_id = %command.message_id, "answered before; answering again");
            return results::publish(&self.producer, order_id, &answer).await;
        }
        let (payment, order) = self.understand(order_id, command.body).await?;
        let in_doubt = self.store.begin(&payment).await.map_err(stored)?;
        let (settled, attempts) = self.pay(&payment, &order, in_doubt).await?;
        let answer = results::answer(order_id, payment.kind, &settled)?;
        fail_point::pass(AFTER_CHARGE).await.map_err(injected)?;
        let answered = Answered {
            message_id: command.message_id,
            topic: &message.topic,
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
    async fn understand(
        &self,
        order_id: Uuid,
        command: PaymentCommandKind,
    ) -> Result<(Payment, Order), Failure> {
        let (kind, amount_minor, currency) = match command {
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
        let order = match kind {
            Kind::Charge => Order::Charge {
                order_id,
                amount_minor,
                currency: currency.clone(),
            },
            Kind::Refund => {
                let charge = self.store.charge_of(order_id).await.map_err(stored)?;
                let charge_id =
                    charge.ok_or_else(|| Failure::Failed("no charge to give back".to_owned()))?;
                Order::Refund {
                    charge_id,
                    amount_minor,
                }
            }
        };
        let provider_key = provider_key(order_id, kind);
        Ok((
            Payment {
                order_id,
                kind,
                amount_minor,
                currency,
                provider_key,
            },
            order,
        ))
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
