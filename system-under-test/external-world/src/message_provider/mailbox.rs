//! The mailbox: all SQL of the provider. A delivery is committed before anybody is told of it.

use std::time::Duration;

use serde::Serialize;
use service_kit::database::Pool;
use sqlx::{FromRow, PgConnection};
use thiserror::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use super::domain::MessageRequest;
use crate::idempotency_key::lock_key;

/// A message that was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Message {
    /// The provider's name for it.
    pub message_id: Uuid,
    /// The key it was asked for with, if any.
    pub idempotency_key: Option<String>,
    /// `email` or `sms`.
    pub channel: String,
    /// Who got it.
    pub recipient: String,
    /// The client's name of the template.
    pub template: String,
    /// Subject of an e-mail.
    pub subject: Option<String>,
    /// What was said.
    pub body: String,
    /// The client's name for what it is about.
    pub reference: String,
    /// The client's name for what was said.
    pub kind: String,
    /// When it was delivered.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// How often a message was asked for, whatever became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Requests {
    /// The client's name for what it is about.
    pub reference: String,
    /// The client's name for what is said.
    pub kind: String,
    /// `email` or `sms`.
    pub channel: String,
    /// Requests that reached the provider.
    pub attempts: i64,
}

/// The whole truth, read in one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Everything ever delivered, oldest first.
    pub messages: Vec<Message>,
    /// Every request that came, by reference.
    pub requests: Vec<Requests>,
}

/// What became of a wish to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Delivered now.
    Delivered(Message),
    /// The same key had delivered this before; nothing was delivered now.
    Repeated(Message),
}

/// Why nothing was delivered.
#[derive(Debug, Error)]
pub enum DeliveryError {
    /// The key was used for something else.
    #[error("this Idempotency-Key was used for another message")]
    KeyReused,
    /// The database could not be asked, or its answer was lost.
    #[error("mailbox unavailable: {0}")]
    Storage(#[from] sqlx::Error),
}

/// The provider's mailbox in PostgreSQL.
#[derive(Debug, Clone)]
pub struct Mailbox {
    pool: Pool,
    key_memory_s: f64,
}

impl Mailbox {
    /// A mailbox on a migrated database, which remembers keys for so long.
    pub fn new(pool: Pool, key_memory: Duration) -> Self {
        Self {
            pool,
            key_memory_s: key_memory.as_secs_f64(),
        }
    }

    /// Notes that a message was asked for.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn count_request(&self, request: &MessageRequest) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into requests as known (reference, kind, channel, attempts) values ($1, $2, $3, 1)
             on conflict (reference, kind, channel) do update set attempts = known.attempts + 1",
        )
        .bind(&request.reference)
        .bind(&request.kind)
        .bind(request.channel.as_str())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Delivers a message: requests with the same key are served one after another, and only the first delivers as long as
    /// its key is remembered.
    ///
    /// # Errors
    /// Says why nothing was delivered.
    pub async fn deliver(
        &self,
        request: &MessageRequest,
        key: Option<&str>,
    ) -> Result<Delivery, DeliveryError> {
        let mut tx = self.pool.begin().await?;
        if let Some(key) = key {
            lock_key(&mut tx, key).await?;
            if let Some(earlier) = self.remembered(&mut tx, key).await? {
                return if is_same(&earlier, request) {
                    Ok(Delivery::Repeated(earlier))
                } else {
                    Err(DeliveryError::KeyReused)
                };
            }
        }
        let message = sqlx::query_as(
            "insert into messages
                 (message_id, idempotency_key, channel, recipient, template, subject, body, reference, kind)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning *",
        )
        .bind(Uuid::now_v7())
        .bind(key)
        .bind(request.channel.as_str())
        .bind(&request.recipient)
        .bind(&request.template)
        .bind(&request.subject)
        .bind(&request.body)
        .bind(&request.reference)
        .bind(&request.kind)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Delivery::Delivered(message))
    }

    /// Everything, as of one moment.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn snapshot(&self) -> Result<Snapshot, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("set transaction isolation level repeatable read read only")
            .execute(&mut *tx)
            .await?;
        let messages = sqlx::query_as("select * from messages order by at, message_id")
            .fetch_all(&mut *tx)
            .await?;
        let requests = sqlx::query_as("select * from requests order by reference, kind, channel")
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Snapshot { messages, requests })
    }

    /// The message that a key delivered, as long as the key is remembered.
    async fn remembered(
        &self,
        connection: &mut PgConnection,
        key: &str,
    ) -> Result<Option<Message>, sqlx::Error> {
        sqlx::query_as(
            "select * from messages
             where idempotency_key = $1 and at > clock_timestamp() - make_interval(secs => $2)
             order by at desc limit 1",
        )
        .bind(key)
        .bind(self.key_memory_s)
        .fetch_optional(connection)
        .await
    }
}

fn is_same(earlier: &Message, request: &MessageRequest) -> bool {
    earlier.channel == request.channel.as_str()
        && earlier.recipient == request.recipient
        && earlier.template == request.template
        && earlier.subject == request.subject
        && earlier.body == request.body
        && earlier.reference == request.reference
        && earlier.kind == request.kind
}
