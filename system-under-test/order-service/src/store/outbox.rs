//! Messages on their way to Kafka.
//!
//! A batch holds, for each topic and key, only the oldest unpublished message, and locks it. So two relays never send the
//! same message at once, and messages of one order in one topic keep their order whoever sends them.

use std::time::Duration;

use service_kit::trace::Trace;
use sqlx::{AssertSqlSafe, Postgres, Transaction};

use super::{Store, StoreError};

/// An unpublished message.
#[derive(Debug, Clone, PartialEq)]
pub struct Unpublished {
    /// Its place in the outbox.
    pub outbox_id: i64,
    /// Topic, without prefix.
    pub topic: String,
    /// Key of the record.
    pub key: String,
    /// What it says.
    pub payload: String,
    /// The trace it belongs to.
    pub trace: Option<Trace>,
}

/// What became of the messages of a batch; the others are to be sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Those that count as published.
    pub published: Vec<i64>,
    /// Those that Kafka will never take, with the reason.
    pub refused: Vec<(i64, String)>,
}

/// Messages that are locked for one relay, until it is dropped or committed.
pub struct Batch {
    transaction: Transaction<'static, Postgres>,
    /// The messages, oldest first.
    pub messages: Vec<Unpublished>,
}

impl Store {
    /// Locks the next messages for a relay that will take at most `hold` to send them.
    ///
    /// # Errors
    /// [`StoreError::NothingDone`].
    pub async fn next_batch(&self, limit: i64, hold: Duration) -> Result<Batch, StoreError> {
        self.settings
            .database
            .bounded(self.lock_batch(limit, hold))
            .await
    }

    async fn lock_batch(&self, limit: i64, hold: Duration) -> Result<Batch, StoreError> {
        let mut transaction = self.pool.begin().await?;
        // The relay waits for Kafka while it holds the rows; the session must not be ended for that.
        let hold_ms = hold.as_millis();
        sqlx::query(AssertSqlSafe(format!(
            "set local idle_in_transaction_session_timeout = {hold_ms}"
        )))
        .execute(&mut *transaction)
        .await?;
        let rows: Vec<(i64, String, String, serde_json::Value, Option<String>)> = sqlx::query_as(
            "select outbox_id, topic, message_key, payload, traceparent from outbox as message
             where published_at is null and parked_at is null and not exists (
                 select from outbox as earlier
                 where earlier.published_at is null and earlier.parked_at is null
                   and earlier.message_key = message.message_key
                   and earlier.topic = message.topic and earlier.outbox_id < message.outbox_id)
             order by outbox_id limit $1 for update skip locked",
        )
        .bind(limit)
        .fetch_all(&mut *transaction)
        .await?;
        let unpublished = |(outbox_id, topic, key, payload, traceparent): (
            _,
            _,
            _,
            serde_json::Value,
            Option<String>,
        )| {
            let trace = traceparent.as_deref().and_then(Trace::parse);
            Unpublished {
                outbox_id,
                topic,
                key,
                payload: payload.to_string(),
                trace,
            }
        };
        let messages = rows.into_iter().map(unpublished).collect();
        Ok(Batch {
            transaction,
            messages,
        })
    }

    /// Marks messages of a batch as published or as parked and gives the others back.
    ///
    /// # Errors
    /// [`StoreError`]; then the messages may be sent again.
    pub async fn mark(&self, batch: Batch, sent: &Sent) -> Result<(), StoreError> {
        self.settings.database.bounded(mark(batch, sent)).await
    }

    /// How many messages wait to be published; from `at_most` on they are not counted further.
    ///
    /// # Errors
    /// [`StoreError::NothingDone`].
    pub async fn unpublished(&self, at_most: i64) -> Result<i64, StoreError> {
        let counted = async {
            let sql = "select count(*) from (
                select from outbox where published_at is null and parked_at is null limit $1) as waiting";
            let query = sqlx::query_scalar(sql).bind(at_most);
            Ok(query.fetch_one(&self.pool).await?)
        };
        self.settings.database.bounded(counted).await
    }
}

async fn mark(mut batch: Batch, sent: &Sent) -> Result<(), StoreError> {
    sqlx::query("update outbox set published_at = now() where outbox_id = any($1)")
        .bind(&sent.published)
        .execute(&mut *batch.transaction)
        .await?;
    for (outbox_id, reason) in &sent.refused {
        sqlx::query("update outbox set parked_at = now(), parked_reason = $2 where outbox_id = $1")
            .bind(outbox_id)
            .bind(reason)
            .execute(&mut *batch.transaction)
            .await?;
    }
    batch
        .transaction
        .commit()
        .await
        .map_err(StoreError::CommitUnknown)
}
