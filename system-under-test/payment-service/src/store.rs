//! All SQL of the service: payments and the inbox.

use serde_json::Value;
use service_kit::database::{DatabaseSettings, Pool, Transaction};
use uuid::Uuid;

use crate::domain::{Kind, Settled, State};

/// A payment that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The order.
    pub order_id: Uuid,
    /// Charge or refund.
    pub kind: Kind,
    /// Minor units of the currency.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// The idempotency key at the provider.
    pub provider_key: String,
}

/// A refund that came before the charge it gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyRefund {
    /// The order.
    pub order_id: Uuid,
    /// Id of the command's message.
    pub message_id: Uuid,
    /// Topic it came from, without prefix.
    pub topic: String,
    /// Minor units of the currency.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// A command that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// Id of the command's message.
    pub message_id: Uuid,
    /// Topic it came from, without prefix.
    pub topic: &'a str,
    /// The order.
    pub order_id: Uuid,
    /// The message that answers it.
    pub outcome: &'a Value,
}

/// The payments and the inbox in PostgreSQL.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
    limits: DatabaseSettings,
}

impl Store {
    /// A store on a migrated database, with the limits of its settings.
    pub fn new(pool: Pool, limits: DatabaseSettings) -> Self {
        Self { pool, limits }
    }

    /// The answer that was given to a command, if it was answered before.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn answer_to(&self, message_id: Uuid) -> Result<Option<Value>, sqlx::Error> {
        let asked = sqlx::query_scalar("select outcome from inbox where message_id = $1")
            .bind(message_id)
            .fetch_optional(&self.pool);
        self.limits.bounded(asked).await
    }

    /// Notes that a payment is being worked on, before the provider is asked. True when an attempt of an earlier life may
    /// have been booked.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn begin(&self, payment: &Payment) -> Result<bool, sqlx::Error> {
        let noted = sqlx::query_scalar::<_, String>(
            "insert into payments (order_id, kind, state, amount_minor, currency, provider_key)
             values ($1, $2, 'pending', $3, $4, $5)
             on conflict (order_id, kind) do update set
                 state = case when payments.state = 'unknown' then 'unknown' else 'pending' end,
                 updated_at = now()
             returning state",
        )
        .bind(payment.order_id)
        .bind(payment.kind.as_str())
        .bind(payment.amount_minor)
        .bind(&payment.currency)
        .bind(&payment.provider_key)
        .fetch_one(&self.pool);
        let state = self.limits.bounded(noted).await?;
        Ok(state == State::Unknown.as_str())
    }

    /// Notes that so many more attempts were made without a definite end, and whether one of them may have been booked.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn note_attempts(
        &self,
        payment: &Payment,
        attempts: i32,
        in_doubt: bool,
    ) -> Result<(), sqlx::Error> {
        let state = if in_doubt {
            State::Unknown
        } else {
            State::Pending
        };
        let noted = sqlx::query(
            "update payments set state = $3, attempts = attempts + $4, updated_at = now()
             where order_id = $1 and kind = $2",
        )
        .bind(payment.order_id)
        .bind(payment.kind.as_str())
        .bind(state.as_str())
        .bind(attempts)
        .execute(&self.pool);
        self.limits.bounded(noted).await.map(drop)
    }

    /// Records how a payment ended and the answer to its command: both or neither.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn settle(
        &self,
        kind: Kind,
        settled: &Settled,
        attempts: i32,
        answered: Answered<'_>,
    ) -> Result<(), sqlx::Error> {
        self.limits
            .bounded(self.settle_together(kind, settled, attempts, answered))
            .await
    }

    async fn settle_together(
        &self,
        kind: Kind,
        settled: &Settled,
        attempts: i32,
        answered: Answered<'_>,
    ) -> Result<(), sqlx::Error> {
        let provider_id = match settled {
            Settled::Succeeded { provider_id } => Some(provider_id.as_str()),
            Settled::Declined { .. } => None,
        };
        let mut tx = self.pool.begin().await?;
        one_at_a_time(&mut tx, answered.order_id).await?;
        sqlx::query(
            "update payments set state = $3, provider_id = $4, attempts = attempts + $5, updated_at = now()
             where order_id = $1 and kind = $2",
        )
        .bind(answered.order_id)
        .bind(kind.as_str())
        .bind(settled.state().as_str())
        .bind(provider_id)
        .bind(attempts)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "insert into inbox (message_id, topic, order_id, outcome) values ($1, $2, $3, $4)
             on conflict (message_id) do nothing",
        )
        .bind(answered.message_id)
        .bind(answered.topic)
        .bind(answered.order_id)
        .bind(answered.outcome)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Notes a refund whose charge has not been made, so that it is made after the charge; false when the charge has been
    /// made meanwhile, so that the refund can be made now.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn note_early_refund(&self, refund: &EarlyRefund) -> Result<bool, sqlx::Error> {
        let noted = async {
            let mut tx = self.pool.begin().await?;
            one_at_a_time(&mut tx, refund.order_id).await?;
            let noted = sqlx::query(
                "insert into early_refunds (order_id, message_id, topic, amount_minor, currency)
                 select $1, $2, $3, $4, $5
                 where not exists (select 1 from payments
                     where order_id = $1 and kind = 'charge' and state = 'succeeded')
                 on conflict (order_id) do update set message_id = excluded.message_id",
            )
            .bind(refund.order_id)
            .bind(refund.message_id)
            .bind(&refund.topic)
            .bind(refund.amount_minor)
            .bind(&refund.currency)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(noted.rows_affected() > 0)
        };
        self.limits.bounded(noted).await
    }

    /// The refund of an order that came before its charge and was not made yet.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn early_refund(&self, order_id: Uuid) -> Result<Option<EarlyRefund>, sqlx::Error> {
        let asked = sqlx::query_as::<_, (Uuid, String, i64, String)>(
            "select message_id, topic, amount_minor, currency from early_refunds
             where order_id = $1
               and not exists (select 1 from inbox where inbox.message_id = early_refunds.message_id)",
        )
        .bind(order_id)
        .fetch_optional(&self.pool);
        let found = self.limits.bounded(asked).await?;
        Ok(
            found.map(|(message_id, topic, amount_minor, currency)| EarlyRefund {
                order_id,
                message_id,
                topic,
                amount_minor,
                currency,
            }),
        )
    }

    /// The provider's name for the charge of an order, if it was charged.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn charge_of(&self, order_id: Uuid) -> Result<Option<String>, sqlx::Error> {
        let asked = sqlx::query_scalar::<_, Option<String>>(
            "select provider_id from payments
             where order_id = $1 and kind = 'charge' and state = 'succeeded'",
        )
        .bind(order_id)
        .fetch_optional(&self.pool);
        Ok(self.limits.bounded(asked).await?.flatten())
    }
}

/// Lets nobody else look at or settle the payments of an order until the transaction ends: a charge that is settled and a
/// refund that looks for it would otherwise miss each other.
async fn one_at_a_time(tx: &mut Transaction, order_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1::text, 0))")
        .bind(order_id)
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Whether an error lies in what was to be stored, so that trying again cannot help.
pub fn is_permanent(error: &sqlx::Error) -> bool {
    match error {
        // Class 22: data exceptions; class 23: integrity constraints.
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.starts_with("22") || code.starts_with("23")),
        _ => false,
    }
}
