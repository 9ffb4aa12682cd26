//! Messages on their way to Kafka.
//!
//! A batch holds, for each topic and key, only the oldest unpublished message, and locks it. So two relays never send the
//! same message at once, and messages of one order in one topic keep their order whoever sends them.

use std::time::Duration;

use service_kit::database::Transaction;
use service_kit::trace::Trace;
use sqlx::AssertSqlSafe;

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
    transaction: Transaction,
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
        // The relay waits for Kafka while it holds the rows; the session must not be ended for that.
        let hold_ms = hold.as_millis();
        let begin = format!("begin; set local idle_in_transaction_session_timeout = {hold_ms}");
        let mut transaction = self.pool.begin_with(AssertSqlSafe(begin)).await?;
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

    /// Marks messages of a batch as published or as parked and gives the others back. Says how many wait then; from
    /// `at_most` on they are not counted further.
    ///
    /// # Errors
    /// [`StoreError`]; then the messages may be sent again.
    pub async fn mark(&self, batch: Batch, sent: &Sent, at_most: i64) -> Result<i64, StoreError> {
        let marked = mark(batch, sent, at_most);
        self.settings.database.bounded(marked).await
    }

    /// How many messages wait to be published; from `at_most` on they are not counted further.
    ///
    /// # Errors
    /// [`StoreError::NothingDone`].
    pub async fn unpublished(&self, at_most: i64) -> Result<i64, StoreError> {
        let counted = async {
            let query = sqlx::query_scalar(WAITING).bind(at_most);
            Ok(query.fetch_one(&self.pool).await?)
        };
        self.settings.database.bounded(counted).await
    }
}

/// Counts what waits to be published, up to a number.
const WAITING: &str = "select count(*) from (
    select from outbox where published_at is null and parked_at is null limit $1) as waiting";

async fn mark(mut batch: Batch, sent: &Sent, at_most: i64) -> Result<i64, StoreError> {
    for (outbox_id, reason) in &sent.refused {
        sqlx::query("update outbox set parked_at = now(), parked_reason = $2 where outbox_id = $1")
            .bind(outbox_id)
            .bind(reason)
            .execute(&mut *batch.transaction)
            .await?;
    }
    // One statement sees the table as it was before it, so what it marks is left out of the count.
    let waiting = sqlx::query_scalar(
        "with marked as (update outbox set published_at = now() where outbox_id = any($1))
         select count(*) from (
             select from outbox where published_at is null and parked_at is null
                 and outbox_id <> all($1) limit $2) as waiting",
    )
    .bind(&sent.published)
    .bind(at_most)
    .fetch_one(&mut *batch.transaction)
    .await?;
    let committed = batch.transaction.commit().await;
    committed.map_err(StoreError::CommitUnknown)?;
    Ok(waiting)
}
