//! What payment and inventory answered: applied once, over the version that was read, along legal transitions.

use sqlx::PgConnection;
use uuid::Uuid;

use super::change::{Change, Changed};
use super::{Store, StoreError, read};
use crate::defences::Defence;
use crate::domain::{Answer, State};

/// An answer as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Id of the message.
    pub message_id: Uuid,
    /// The topic it came from, without prefix.
    pub topic: &'static str,
    /// The order it is about.
    pub order_id: Uuid,
    /// What it says.
    pub answer: Answer,
    /// What the audit trail names as the cause.
    pub cause: &'static str,
}

/// What an answer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The order moved on.
    Moved(State),
    /// The message was processed before.
    SeenBefore,
    /// The order knew it already.
    Known,
    /// The answer does not fit the order's life and was set aside.
    Illegal(State),
    /// There is no such order.
    NoOrder,
}

impl Store {
    /// Applies an answer, and records its message, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`] says whether something may have been stored. Applying it again is safe.
    pub async fn apply(&self, answered: Answered) -> Result<Effect, StoreError> {
        self.with_retries(|| self.try_to_apply(answered)).await
    }

    async fn try_to_apply(&self, answered: Answered) -> Result<Effect, StoreError> {
        let mut transaction = self.begin().await?;
        let first_time = record(&mut transaction, answered).await?;
        if !first_time && self.defences.on(Defence::InboxDedup) {
            return Ok(Effect::SeenBefore);
        }
        let Some(order) = read::order(&mut transaction, answered.order_id).await? else {
            return Ok(Effect::NoOrder);
        };
        let state = order.state;
        let change = Change {
            step: answered.answer.step_from(state),
            said: answered.answer.target(),
            cause: answered.cause,
        };
        Ok(match self.change(transaction, order, change).await? {
            Changed::Moved(state) => Effect::Moved(state),
            Changed::Known => Effect::Known,
            Changed::Illegal => Effect::Illegal(state),
        })
    }
}

/// Records the message as processed; false when it was recorded before. Waits for whoever records it at the same time.
async fn record(connection: &mut PgConnection, answered: Answered) -> Result<bool, sqlx::Error> {
    let recorded = sqlx::query(
        "insert into inbox (message_id, topic, order_id) values ($1, $2, $3) on conflict (message_id) do nothing",
    )
    .bind(answered.message_id)
    .bind(answered.topic)
    .bind(answered.order_id)
    .execute(connection)
    .await?;
    Ok(recorded.rows_affected() == 1)
}
