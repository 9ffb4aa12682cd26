//! All SQL of the order service.
//!
//! * [`place`]: an order, its lines, key, audit rows and messages, together.
//! * [`answer`]: what payment and inventory answered, once.
//! * [`outbox`]: messages on their way to Kafka.
//! * [`read`]: orders and products as they are.

pub mod answer;
pub mod outbox;
pub mod place;
pub mod read;

use std::sync::Arc;

use contracts::{Kind, MessageError};
use service_kit::database::{DatabaseSettings, SqlState};
use service_kit::defences::Defences;
use service_kit::fail_point::{self, Injected};
use service_kit::kafka::{Outgoing, Producer};
use service_kit::trace::Trace;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::defences::Defence;
use crate::domain::{AuditEntry, Message, State, UnknownState};

/// How messages leave the service.
#[derive(Clone)]
pub enum Publication {
    /// They are stored unpublished; the relay is told.
    ThroughOutbox(Arc<Notify>),
    /// They are handed to Kafka's client after the commit, and nobody waits for what becomes of them.
    Direct(Producer),
}

/// The service's database.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    settings: DatabaseSettings,
    defences: Defences<Defence>,
    publication: Publication,
}

/// Why something was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is out of reach, before the commit: certainly nothing was changed.
    #[error("nothing was changed: {0}")]
    NothingDone(#[from] sqlx::Error),
    /// The commit was sent and its outcome is not known.
    #[error("the outcome of the commit is unknown: {0}")]
    CommitUnknown(sqlx::Error),
    /// The order was committed; what was to follow in a transaction of its own failed.
    #[error("only a part was stored: {0}")]
    PartlyDone(String),
    /// Somebody else moved the order on since it was read.
    #[error("the order was moved on by somebody else")]
    Overtaken,
    /// The database holds something that this program does not understand.
    #[error("the database holds something unknown: {0}")]
    Unreadable(String),
    /// A message cannot be written.
    #[error("a message cannot be written: {0}")]
    Message(#[from] MessageError),
    /// A fail-point failed the step before the commit.
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl SqlState for StoreError {
    fn sql_state(&self) -> Option<String> {
        match self {
            Self::NothingDone(error) | Self::CommitUnknown(error) => error.sql_state(),
            // Losing the race for a version is our own kind of serialization failure: run it again.
            Self::Overtaken => Some("40001".to_owned()),
            _ => None,
        }
    }
}

impl From<UnknownState> for StoreError {
    fn from(unknown: UnknownState) -> Self {
        Self::Unreadable(unknown.to_string())
    }
}

impl Store {
    /// A store over a pool.
    pub fn new(
        pool: PgPool,
        settings: DatabaseSettings,
        defences: Defences<Defence>,
        publication: Publication,
    ) -> Self {
        Self {
            pool,
            settings,
            defences,
            publication,
        }
    }

    /// Runs a transaction for at most the work limit. A commit may be under way when it passes.
    async fn within_limit<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.settings.work_limit, work).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::CommitUnknown(sqlx::Error::Io(
                std::io::ErrorKind::TimedOut.into(),
            ))),
        }
    }

    /// Commits a change of an order together with its audit rows.
    async fn commit_audited(
        &self,
        mut transaction: Transaction<'static, Postgres>,
        entries: &[AuditEntry],
    ) -> Result<(), StoreError> {
        if self.defences.on(Defence::AuditInTransaction) {
            fail_point::pass("order.between-order-and-audit").await?;
            insert_audit(&mut transaction, entries).await?;
            return transaction
                .commit()
                .await
                .map_err(StoreError::CommitUnknown);
        }
        transaction
            .commit()
            .await
            .map_err(StoreError::CommitUnknown)?;
        let partly = |error: &dyn std::fmt::Display| StoreError::PartlyDone(error.to_string());
        fail_point::pass("order.between-order-and-audit")
            .await
            .map_err(|error| partly(&error))?;
        let mut connection = self.pool.acquire().await.map_err(|error| partly(&error))?;
        insert_audit(&mut connection, entries)
            .await
            .map_err(|error| partly(&error))
    }

    /// Stores messages in the order's transaction.
    async fn insert_messages(
        &self,
        connection: &mut PgConnection,
        messages: &[Prepared],
    ) -> Result<(), sqlx::Error> {
        let published = matches!(self.publication, Publication::Direct(_));
        for message in messages {
            sqlx::query(
                "insert into outbox (message_id, topic, message_key, payload, traceparent, published_at)
                 values ($1, $2, $3, $4, $5, case when $6 then now() end)",
            )
            .bind(message.message_id)
            .bind(message.topic)
            .bind(&message.key)
            .bind(&message.payload)
            .bind(&message.traceparent)
            .bind(published)
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }

    /// After the commit: tells the relay, or sends the messages and forgets them.
    fn publish(&self, messages: &[Prepared]) {
        match &self.publication {
            Publication::ThroughOutbox(stored) => stored.notify_one(),
            Publication::Direct(producer) => {
                for message in messages {
                    let payload = message.payload.to_string();
                    let record = Outgoing {
                        topic: message.topic,
                        key: &message.key,
                        payload: payload.as_bytes(),
                        trace: message.traceparent.as_deref().and_then(Trace::parse),
                        headers: &[],
                    };
                    if let Err(error) = producer.enqueue(record).map(drop) {
                        tracing::warn!(%error, "a message was not sent");
                    }
                }
            }
        }
    }
}

/// A message as it stands in the outbox.
struct Prepared {
    message_id: Uuid,
    topic: &'static str,
    key: String,
    payload: serde_json::Value,
    traceparent: Option<String>,
}

fn prepare(messages: &[Message]) -> Result<Vec<Prepared>, StoreError> {
    let traceparent = Trace::current().map(|trace| trace.to_string());
    let one = |message: &Message| {
        let (message_id, topic, order_id, payload) = match message {
            Message::Event(event) => (
                event.message_id,
                contracts::OrderEventBody::TOPIC,
                event.order_id,
                contracts::write(event)?,
            ),
            Message::Command(command) => (
                command.message_id,
                contracts::PaymentCommandKind::TOPIC,
                command.order_id,
                contracts::write(command)?,
            ),
        };
        Ok(Prepared {
            message_id,
            topic,
            key: order_id.to_string(),
            payload,
            traceparent: traceparent.clone(),
        })
    };
    messages.iter().map(one).collect()
}

async fn insert_audit(
    connection: &mut PgConnection,
    entries: &[AuditEntry],
) -> Result<(), sqlx::Error> {
    for entry in entries {
        sqlx::query("insert into audit (order_id, version, from_state, to_state, cause) values ($1, $2, $3, $4, $5)")
            .bind(entry.order_id)
            .bind(entry.version)
            .bind(entry.from.map(State::name))
            .bind(entry.to.name())
            .bind(entry.cause)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
