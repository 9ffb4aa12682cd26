//! Answers of payment and inventory, read strictly and applied once.

use contracts::{InventoryEventKind, Kind, PaymentResultKind, topic};
use serde::de::DeserializeOwned;
use service_kit::database::SqlState;
use service_kit::kafka::{Consumption, Failure, Received, Work};

use crate::domain::Answer;
use crate::store::answer::{Answered, Effect};
use crate::store::{Store, StoreError};

/// What is consumed, and how.
pub fn consumption() -> Consumption {
    Consumption {
        group: crate::NAME,
        topics: &[topic::PAYMENT_RESULTS, topic::INVENTORY_EVENTS],
        commit_after_work: true,
        poll_while_working: true,
        dead_letters: true,
        before_commit: None,
    }
}

/// The work on answers.
pub struct Answers {
    store: Store,
}

impl Answers {
    /// Applies answers to the orders of a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

impl Work for Answers {
    async fn process(&self, message: &Received) -> Result<(), Failure> {
        let answered = read(message)?;
        match self.store.apply(answered).await {
            Ok(Effect::NoOrder) => Err(Failure::Failed(format!(
                "there is no order {}",
                answered.order_id
            ))),
            Ok(Effect::Illegal(state)) => {
                tracing::warn!(%state, answer = ?answered.answer, "an answer does not fit the order and was set aside");
                Ok(())
            }
            Ok(effect) => {
                tracing::debug!(?effect, "answer applied");
                Ok(())
            }
            Err(error) => Err(failure(&error)),
        }
    }
}

fn failure(error: &StoreError) -> Failure {
    if matches!(error, StoreError::GivenUp(_)) {
        return Failure::Unprocessable(error.to_string());
    }
    let state = error.sql_state();
    // Classes 22 and 23 are data that the database will never take. Nothing that we write is ever empty (23502) but for
    // tables that somebody changed.
    let blames_the_message = state.is_some_and(|state| {
        state != "23502" && (state.starts_with("22") || state.starts_with("23"))
    });
    if blames_the_message {
        Failure::Failed(error.to_string())
    } else {
        Failure::Unavailable(error.to_string())
    }
}

fn read(message: &Received) -> Result<Answered, Failure> {
    match message.topic.as_str() {
        topic::PAYMENT_RESULTS => answered(message, |kind: &PaymentResultKind| match kind {
            PaymentResultKind::Charged { .. } => (Answer::Charged, "charged"),
            PaymentResultKind::Declined { .. } => (Answer::Declined, "declined"),
            PaymentResultKind::Refunded { .. } => (Answer::Refunded, "refunded"),
        }),
        topic::INVENTORY_EVENTS => answered(message, |kind: &InventoryEventKind| match kind {
            InventoryEventKind::Taken => (Answer::Taken, "stock taken"),
            InventoryEventKind::OutOfStock { .. } => (Answer::OutOfStock, "out of stock"),
        }),
        other => Err(Failure::Unprocessable(format!(
            "nothing is expected from the topic {other}"
        ))),
    }
}

fn answered<K: Kind + DeserializeOwned>(
    message: &Received,
    meaning: impl FnOnce(&K) -> (Answer, &'static str),
) -> Result<Answered, Failure> {
    let envelope = contracts::read::<K>(&message.payload)
        .map_err(|error| Failure::Unprocessable(error.to_string()))?;
    let (answer, cause) = meaning(&envelope.body);
    Ok(Answered {
        message_id: envelope.message_id,
        topic: K::TOPIC,
        order_id: envelope.order_id,
        answer,
        cause,
    })
}
