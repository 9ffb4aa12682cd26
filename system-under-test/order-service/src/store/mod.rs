//! All SQL of the order service.
//!
//! * [`schema`]: whether the database has the tables that this program was written for.
//! * [`place`]: an order, its lines, key, audit rows and messages, together.
//! * `change`: moving an order on.
//! * [`answer`]: what payment and inventory answered, once.
//! * [`cancel`]: giving an order up.
//! * [`outbox`]: messages on their way to Kafka.
//! * [`read`]: orders and products as they are.

pub mod answer;
pub mod cancel;
mod change;
pub mod outbox;
pub mod place;
pub mod read;
pub mod schema;

use std::sync::Arc;

use contracts::{Kind, MessageError};
use service_kit::database::{DatabaseSettings, Pool, SqlState, Transaction, with_retries};
use service_kit::defences::Defences;
use service_kit::fail_point::{self, Injected};
use service_kit::kafka::{Outgoing, Producer};
use service_kit::metrics::{Counters, Metrics};
use service_kit::trace::Trace;
use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::copies::{Copies, CopyLimits};
use crate::defences::Defence;
use crate::domain::{AuditEntry, Message, State, UnknownState};
use crate::store::schema::Schema;

/// How messages leave the service.
#[derive(Clone)]
pub enum Publication {
    /// They are stored unpublished; the relay is told.
    ThroughOutbox(Arc<Notify>),
    /// They are handed to Kafka's client after the commit, and nobody waits for what becomes of them.
    Direct(Producer),
}

/// How the service uses its database.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Connections and limits.
    pub database: DatabaseSettings,
    /// How strictly transactions that run at the same time are kept apart.
    pub isolation: Isolation,
    /// How much of what was read is kept.
    pub copies: CopyLimits,
    /// Largest message that Kafka takes, in bytes.
    pub message_limit: usize,
}

/// How strictly transactions that run at the same time are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Each statement sees what is committed.
    ReadCommitted,
    /// As if they ran one after the other; the database ends one of two that would not fit (40001).
    Serializable,
}

/// The service's database.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    settings: StoreSettings,
    defences: Defences<Defence>,
    publication: Publication,
    schema: Schema,
    copies: Copies,
    conflicts: Counters,
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
    /// The database ended the transaction for the sake of another one, and it is not run again.
    #[error("the transaction lost a conflict and is given up: {0}")]
    GivenUp(sqlx::Error),
    /// The database is not as this program needs it.
    #[error("the database does not fit this program: {0}")]
    SchemaDiffers(String),
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
            // As it is given up, nobody shall take it for a conflict to be tried again.
            Self::GivenUp(_) => None,
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
        pool: Pool,
        settings: StoreSettings,
        defences: Defences<Defence>,
        publication: Publication,
        metrics: &Metrics,
    ) -> Self {
        let conflicts = metrics.counters(
            "transaction_conflicts",
            "Transactions that the database ended for the sake of another one, by SQLSTATE",
        );
        Self {
            pool,
            copies: Copies::new(settings.copies, defences.clone()),
            settings,
            defences,
            publication,
            schema: Schema::default(),
            conflicts,
        }
    }

    /// What is known of the database's tables.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Begins a transaction that writes.
    async fn begin(&self) -> Result<Transaction, StoreError> {
        self.schema.fits().map_err(StoreError::SchemaDiffers)?;
        let mut transaction = self.pool.begin().await?;
        if self.settings.isolation == Isolation::Serializable {
            sqlx::query("set transaction isolation level serializable")
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction)
    }

    /// Commits.
    async fn commit(&self, transaction: Transaction) -> Result<(), StoreError> {
        transaction.commit().await.map_err(|error| {
            if conflict(&error).is_some() {
                StoreError::NothingDone(error)
            } else {
                StoreError::CommitUnknown(error)
            }
        })
    }

    /// Runs a transaction within its limit, and again when it lost a conflict, as long as the defences allow.
    async fn with_retries<T, F, W>(&self, transaction: F) -> Result<T, StoreError>
    where
        F: Fn() -> W,
        W: Future<Output = Result<T, StoreError>>,
    {
        let transaction = &transaction;
        with_retries(self.settings.database.retry, move || async move {
            let done = self.within_limit(transaction()).await;
            done.map_err(|error| self.give_up(error))
        })
        .await
    }

    /// Counts a conflict, and gives the transaction up where nothing protects it.
    fn give_up(&self, error: StoreError) -> StoreError {
        let StoreError::NothingDone(cause) = error else {
            return error;
        };
        let (state, defence) = match conflict(&cause) {
            Some(Conflict::Deadlock) => ("40P01", Defence::DeadlockRetry),
            Some(Conflict::Serialization) => ("40001", Defence::SerializationRetry),
            None => return StoreError::NothingDone(cause),
        };
        let label = vec![("state", state.to_owned())];
        self.conflicts.get_or_create(&label).inc();
        if self.defences.on(defence) {
            StoreError::NothingDone(cause)
        } else {
            StoreError::GivenUp(cause)
        }
    }

    /// Runs a transaction for at most the work limit. A commit may be under way when it passes.
    async fn within_limit<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.settings.database.work_limit, work).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::CommitUnknown(sqlx::Error::Io(
                std::io::ErrorKind::TimedOut.into(),
            ))),
        }
    }

    /// Commits a change of an order together with its audit rows.
    async fn commit_audited(
        &self,
        mut transaction: Transaction,
        entries: &[AuditEntry],
    ) -> Result<(), StoreError> {
        if self.defences.on(Defence::AuditInTransaction) {
            fail_point::pass("order.between-order-and-audit").await?;
            insert_audit(&mut transaction, entries).await?;
            return self.commit(transaction).await;
        }
        self.commit(transaction).await?;
        let partly = |error: &dyn std::fmt::Display| StoreError::PartlyDone(error.to_string());
        fail_point::pass("order.between-order-and-audit")
            .await
            .map_err(|error| partly(&error))?;
        let mut lent = self.pool.acquire().await.map_err(|error| partly(&error))?;
        insert_audit(&mut lent, entries)
            .await
            .map_err(|error| partly(&error))?;
        lent.give_back();
        Ok(())
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

impl Prepared {
    /// Bytes that the record takes at most in Kafka, with its key, its headers and what frames it.
    fn size(&self) -> usize {
        const FRAME_AND_HEADERS_BYTES: usize = 512;
        self.payload.to_string().len() + self.key.len() + FRAME_AND_HEADERS_BYTES
    }
}

/// The messages as they are stored and sent; events carry what the customer wrote.
fn prepare(messages: &[Message], note: Option<&str>) -> Result<Vec<Prepared>, StoreError> {
    let traceparent = Trace::current().map(|trace| trace.to_string());
    let one = |message: &Message| {
        let (message_id, topic, order_id, payload) = match message {
            Message::Event(event) => (
                event.message_id,
                contracts::OrderEventBody::TOPIC,
                event.order_id,
                with_note(contracts::write(event)?, note),
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

fn with_note(mut event: serde_json::Value, note: Option<&str>) -> serde_json::Value {
    if let Some(note) = note {
        event[contracts::order::NOTE_FIELD] = note.into();
    }
    event
}

enum Conflict {
    Deadlock,
    Serialization,
}

/// Whether the database ended a transaction for the sake of another one: then certainly nothing was done.
fn conflict(error: &sqlx::Error) -> Option<Conflict> {
    match error.sql_state().as_deref() {
        Some("40P01") => Some(Conflict::Deadlock),
        Some("40001") => Some(Conflict::Serialization),
        _ => None,
    }
}

async fn insert_audit(
    connection: &mut PgConnection,
    entries: &[AuditEntry],
) -> Result<(), sqlx::Error> {
    for entry in entries {
        sqlx::query(
            "insert into audit (order_id, version, from_state, to_state, cause, at) values ($1, $2, $3, $4, $5, $6)",
        )
            .bind(entry.order_id)
            .bind(entry.version)
            .bind(entry.from.map(State::name))
            .bind(entry.to.name())
            .bind(entry.cause)
            .bind(entry.at)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
