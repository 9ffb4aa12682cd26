//! The ledger: all SQL of the provider. A booking is committed before anybody is told of it.

use serde::Serialize;
use service_kit::database::Pool;
use sqlx::{FromRow, PgConnection};
use thiserror::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use super::domain::{ChargeRequest, Kind, RefundRequest, refund_fits};
use crate::idempotency_key::lock_key;

/// Different keys kept of one reference; a client that makes up ever new keys does not fill the ledger.
const KEYS_KEPT: i32 = 100;

/// Money that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Charge {
    /// The provider's name for it.
    pub charge_id: Uuid,
    /// The key it was asked for with, if any.
    pub idempotency_key: Option<String>,
    /// The merchant's name for the purchase.
    pub reference: String,
    /// How much, in minor units of the currency.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// When it was booked.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// Money that was given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Refund {
    /// The provider's name for it.
    pub refund_id: Uuid,
    /// The charge it belongs to.
    pub charge_id: Uuid,
    /// The key it was asked for with, if any.
    pub idempotency_key: Option<String>,
    /// The merchant's name for the purchase, taken from the charge.
    pub reference: String,
    /// How much, in minor units of the charge's currency.
    pub amount_minor: i64,
    /// When it was booked.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// How often something was asked for, whatever became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Requests {
    /// The merchant's name for the purchase.
    pub reference: String,
    /// `charge` or `refund`.
    pub kind: String,
    /// Requests that reached the provider.
    pub attempts: i64,
    /// The different keys they came with.
    pub keys: Vec<String>,
}

/// The whole truth, read in one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Every charge, oldest first.
    pub charges: Vec<Charge>,
    /// Every refund, oldest first.
    pub refunds: Vec<Refund>,
    /// Every request that came, by reference.
    pub requests: Vec<Requests>,
}

/// What became of a wish to book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Booking<T> {
    /// Booked now.
    Booked(T),
    /// The same key had booked this before; nothing was booked now.
    Repeated(T),
}

/// Why nothing was booked.
#[derive(Debug, Error)]
pub enum BookingError {
    /// The key was used for something else.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// The key was declined before; that stays so.
    #[error("declined")]
    Declined,
    /// There is no such charge.
    #[error("no such charge")]
    NoSuchCharge,
    /// More would be given back than was taken.
    #[error("the refund exceeds what is left of the charge")]
    ExceedsCharge,
    /// The database could not be asked, or its answer was lost.
    #[error("ledger unavailable: {0}")]
    Storage(#[from] sqlx::Error),
}

/// The provider's books in PostgreSQL.
#[derive(Debug, Clone)]
pub struct Ledger {
    pool: Pool,
}

impl Ledger {
    /// A ledger on a migrated database.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Notes that a charge was asked for.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn count_charge_request(
        &self,
        reference: &str,
        key: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        count_request(&self.pool, reference, Kind::Charge, key).await
    }

    /// Notes that a refund was asked for; a refund of an unknown charge is noted under the charge's id.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn count_refund_request(
        &self,
        charge_id: Uuid,
        key: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        let reference: Option<String> =
            sqlx::query_scalar("select reference from charges where charge_id = $1")
                .bind(charge_id)
                .fetch_optional(&self.pool)
                .await?;
        let reference = reference.unwrap_or_else(|| charge_id.to_string());
        count_request(&self.pool, &reference, Kind::Refund, key).await
    }

    /// Takes money once: requests with the same key are served one after another, and only the first books.
    ///
    /// # Errors
    /// Says why nothing was booked.
    pub async fn charge(
        &self,
        request: &ChargeRequest,
        key: Option<&str>,
    ) -> Result<Booking<Charge>, BookingError> {
        let mut tx = self.pool.begin().await?;
        if let Some(key) = key {
            lock_key(&mut tx, key).await?;
            if let Some(earlier) = charge_of(&mut tx, key).await? {
                let same = earlier.reference == request.reference
                    && earlier.amount_minor == request.amount_minor
                    && earlier.currency == request.currency;
                return if same {
                    Ok(Booking::Repeated(earlier))
                } else {
                    Err(BookingError::KeyReused)
                };
            }
            if is_declined(&mut tx, key).await? {
                return Err(BookingError::Declined);
            }
        }
        let charge = sqlx::query_as(
            "insert into charges (charge_id, idempotency_key, reference, amount_minor, currency)
             values ($1, $2, $3, $4, $5) returning *",
        )
        .bind(Uuid::now_v7())
        .bind(key)
        .bind(&request.reference)
        .bind(request.amount_minor)
        .bind(&request.currency)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Booking::Booked(charge))
    }

    /// Declines a charge for good, unless the same key has booked it already.
    ///
    /// # Errors
    /// [`BookingError::Storage`] when the database could not be asked.
    pub async fn decline(
        &self,
        request: &ChargeRequest,
        key: Option<&str>,
    ) -> Result<Option<Charge>, BookingError> {
        let Some(key) = key else {
            return Ok(None);
        };
        let mut tx = self.pool.begin().await?;
        lock_key(&mut tx, key).await?;
        if let Some(earlier) = charge_of(&mut tx, key).await? {
            return Ok(Some(earlier));
        }
        sqlx::query(
            "insert into declines (idempotency_key, reference) values ($1, $2) on conflict do nothing",
        )
        .bind(key)
        .bind(&request.reference)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(None)
    }

    /// Gives money back once, and never more than was taken.
    ///
    /// # Errors
    /// Says why nothing was booked.
    pub async fn refund(
        &self,
        request: &RefundRequest,
        key: Option<&str>,
    ) -> Result<Booking<Refund>, BookingError> {
        let mut tx = self.pool.begin().await?;
        if let Some(key) = key {
            lock_key(&mut tx, key).await?;
            if let Some(earlier) = refund_of(&mut tx, key).await? {
                let same = earlier.charge_id == request.charge_id
                    && earlier.amount_minor == request.amount_minor;
                return if same {
                    Ok(Booking::Repeated(earlier))
                } else {
                    Err(BookingError::KeyReused)
                };
            }
        }
        // The row's lock lines up the refunds of one charge, so that their sum cannot be overrun.
        let charge: Option<Charge> =
            sqlx::query_as("select * from charges where charge_id = $1 for update")
                .bind(request.charge_id)
                .fetch_optional(&mut *tx)
                .await?;
        let charge = charge.ok_or(BookingError::NoSuchCharge)?;
        let refunded: i64 = sqlx::query_scalar(
            "select coalesce(sum(amount_minor), 0)::bigint from refunds where charge_id = $1",
        )
        .bind(request.charge_id)
        .fetch_one(&mut *tx)
        .await?;
        if !refund_fits(charge.amount_minor, refunded, request.amount_minor) {
            return Err(BookingError::ExceedsCharge);
        }
        let refund = sqlx::query_as(
            "insert into refunds (refund_id, charge_id, idempotency_key, reference, amount_minor)
             values ($1, $2, $3, $4, $5) returning *",
        )
        .bind(Uuid::now_v7())
        .bind(request.charge_id)
        .bind(key)
        .bind(&charge.reference)
        .bind(request.amount_minor)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Booking::Booked(refund))
    }

    /// The charge that a key booked, if it did.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn charge_by_key(&self, key: &str) -> Result<Option<Charge>, sqlx::Error> {
        let mut lent = self.pool.acquire().await?;
        let charge = charge_of(&mut lent, key).await?;
        lent.give_back();
        Ok(charge)
    }

    /// The refund that a key booked, if it did.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn refund_by_key(&self, key: &str) -> Result<Option<Refund>, sqlx::Error> {
        let mut lent = self.pool.acquire().await?;
        let refund = refund_of(&mut lent, key).await?;
        lent.give_back();
        Ok(refund)
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
        let charges = sqlx::query_as("select * from charges order by at, charge_id")
            .fetch_all(&mut *tx)
            .await?;
        let refunds = sqlx::query_as("select * from refunds order by at, refund_id")
            .fetch_all(&mut *tx)
            .await?;
        let requests = sqlx::query_as("select * from requests order by reference, kind")
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Snapshot {
            charges,
            refunds,
            requests,
        })
    }
}

async fn count_request(
    pool: &Pool,
    reference: &str,
    kind: Kind,
    key: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into requests as known (reference, kind, attempts, keys)
         values ($1, $2, 1, array_remove(array[$3::text], null))
         on conflict (reference, kind) do update set
             attempts = known.attempts + 1,
             keys = case
                 when $3::text is null or $3 = any (known.keys) or cardinality(known.keys) >= $4
                 then known.keys
                 else array_append(known.keys, $3) end",
    )
    .bind(reference)
    .bind(kind.as_str())
    .bind(key)
    .bind(KEYS_KEPT)
    .execute(pool)
    .await?;
    Ok(())
}

async fn charge_of(
    connection: &mut PgConnection,
    key: &str,
) -> Result<Option<Charge>, sqlx::Error> {
    sqlx::query_as("select * from charges where idempotency_key = $1")
        .bind(key)
        .fetch_optional(connection)
        .await
}

async fn refund_of(
    connection: &mut PgConnection,
    key: &str,
) -> Result<Option<Refund>, sqlx::Error> {
    sqlx::query_as("select * from refunds where idempotency_key = $1")
        .bind(key)
        .fetch_optional(connection)
        .await
}

async fn is_declined(connection: &mut PgConnection, key: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from declines where idempotency_key = $1)")
        .bind(key)
        .fetch_one(connection)
        .await
}
