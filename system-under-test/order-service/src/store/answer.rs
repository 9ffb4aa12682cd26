//! What payment and inventory answered: applied once, over the version that was read, along legal transitions.

use service_kit::database::with_retries;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, prepare, read};
use crate::defences::Defence;
use crate::domain::{self, Answer, AuditEntry, Order, State, Step};

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
        with_retries(self.settings.retry, || {
            self.within_limit(self.try_to_apply(answered))
        })
        .await
    }

    async fn try_to_apply(&self, answered: Answered) -> Result<Effect, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let first_time = record(&mut transaction, answered).await?;
        if !first_time && self.defences.on(Defence::InboxDedup) {
            return Ok(Effect::SeenBefore);
        }
        let Some(order) = read::order(&mut transaction, answered.order_id).await? else {
            return Ok(Effect::NoOrder);
        };
        let effect = self
            .write_state(&mut transaction, &order, answered.answer)
            .await?;
        let Effect::Moved(state) = effect else {
            transaction
                .commit()
                .await
                .map_err(StoreError::CommitUnknown)?;
            return Ok(effect);
        };
        let from = order.state;
        let moved = Order {
            state,
            version: order.version + 1,
            ..order
        };
        let entry = AuditEntry {
            order_id: moved.order_id,
            version: moved.version,
            from: Some(from),
            to: state,
            cause: answered.cause,
        };
        let messages = prepare(&domain::moved_on(&moved, OffsetDateTime::now_utc()))?;
        self.insert_messages(&mut transaction, &messages).await?;
        self.commit_audited(transaction, &[entry]).await?;
        self.publish(&messages);
        Ok(effect)
    }

    /// Writes the state that the answer leads to. Checked: only along a legal transition, and only over the version that
    /// was read. Unchecked: whatever the answer says, over whatever is there.
    async fn write_state(
        &self,
        connection: &mut PgConnection,
        order: &Order,
        answer: Answer,
    ) -> Result<Effect, StoreError> {
        if !self.defences.on(Defence::VersionCheck) {
            let sql = "update orders set state = $1, version = $2, updated_at = now() where order_id = $3";
            let next = order.version + 1;
            sqlx::query(sql)
                .bind(answer.target().name())
                .bind(next)
                .bind(order.order_id)
                .execute(connection)
                .await?;
            return Ok(Effect::Moved(answer.target()));
        }
        let state = match answer.step_from(order.state) {
            Step::To(state) => state,
            Step::Known => return Ok(Effect::Known),
            Step::Illegal => return Ok(Effect::Illegal(order.state)),
        };
        let written = sqlx::query(
            "update orders set state = $1, version = version + 1, updated_at = now() where order_id = $2 and version = $3",
        )
        .bind(state.name())
        .bind(order.order_id)
        .bind(order.version)
        .execute(connection)
        .await?;
        if written.rows_affected() == 1 {
            Ok(Effect::Moved(state))
        } else {
            Err(StoreError::Overtaken)
        }
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
