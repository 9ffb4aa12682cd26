//! All SQL of the identity provider. Keys live in the database, so that a restart changes none.

use serde::Serialize;
use service_kit::database::Pool;
use service_kit::token::{KeyError, KeySet, SigningKey};
use sqlx::FromRow;
use thiserror::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use super::password::Kept;

/// How often a key that signs is looked for: once more for every rotation that may come in between.
const SIGNING_KEY_ATTEMPTS: u32 = 5;

/// A key as the control API shows it; the private half stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct KeyReport {
    /// Its name.
    pub kid: String,
    /// Whether it signs.
    pub signs: bool,
    /// Whether the key set has it.
    pub published: bool,
    /// Tokens signed with it.
    pub tokens_issued: i64,
}

/// Something could not be done.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database could not be asked.
    #[error("the database could not be asked: {0}")]
    Storage(#[from] sqlx::Error),
    /// A key could not be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Customers and keys in PostgreSQL.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
}

#[derive(FromRow)]
struct StoredKey {
    kid: String,
    private_key: Vec<u8>,
}

impl StoredKey {
    fn read(&self) -> Result<SigningKey, KeyError> {
        SigningKey::from_pkcs8(&self.kid, &self.private_key)
    }
}

impl Store {
    /// A store on a migrated database.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Makes a first key where there is none that signs.
    ///
    /// # Errors
    /// The database could not be asked, or no key could be made.
    pub async fn ensure_key(&self) -> Result<(), StoreError> {
        let signs: bool =
            sqlx::query_scalar("select exists (select from signing_keys where leaves_at is null)")
                .fetch_one(&self.pool)
                .await?;
        if signs {
            return Ok(());
        }
        // Another instance may have been faster: then its key is the one.
        sqlx::query(
            "insert into signing_keys (kid, private_key) values ($1, $2) on conflict do nothing",
        )
        .bind(new_kid())
        .bind(SigningKey::generate_pkcs8()?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Makes a new key that signs from now on; the old one stays published for `keep_old_s` seconds.
    ///
    /// # Errors
    /// The database could not be asked, or no key could be made; then nothing has changed.
    pub async fn rotate(&self, keep_old_s: u32) -> Result<String, StoreError> {
        let (kid, private_key) = (new_kid(), SigningKey::generate_pkcs8()?);
        let mut tx = self.pool.begin().await?;
        let leaves_at = OffsetDateTime::now_utc() + time::Duration::seconds(i64::from(keep_old_s));
        sqlx::query("update signing_keys set leaves_at = $1 where leaves_at is null")
            .bind(leaves_at)
            .execute(&mut *tx)
            .await?;
        sqlx::query("insert into signing_keys (kid, private_key) values ($1, $2)")
            .bind(&kid)
            .bind(private_key)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(kid)
    }

    /// The key that signs; `counted` when a token is issued with it.
    ///
    /// # Errors
    /// The database could not be asked, or the key cannot be used.
    pub async fn signing_key(&self, counted: bool) -> Result<SigningKey, StoreError> {
        for _ in 1..SIGNING_KEY_ATTEMPTS {
            if let Some(key) = self.take_signing_key(counted).await? {
                return Ok(key.read()?);
            }
        }
        let key = self.take_signing_key(counted).await?;
        Ok(key.ok_or(sqlx::Error::RowNotFound)?.read()?)
    }

    /// None when the key was replaced while this waited for it: the new one is not seen by a statement that began before.
    async fn take_signing_key(&self, counted: bool) -> Result<Option<StoredKey>, sqlx::Error> {
        sqlx::query_as(
            "update signing_keys set tokens_issued = tokens_issued + $1 where leaves_at is null
             returning kid, private_key",
        )
        .bind(i64::from(counted))
        .fetch_optional(&self.pool)
        .await
    }

    /// The public keys whose tokens are good.
    ///
    /// # Errors
    /// The database could not be asked, or a key cannot be used.
    pub async fn published(&self) -> Result<KeySet, StoreError> {
        let stored: Vec<StoredKey> = sqlx::query_as(
            "select kid, private_key from signing_keys
             where leaves_at is null or leaves_at > now() order by at",
        )
        .fetch_all(&self.pool)
        .await?;
        let keys = stored
            .iter()
            .map(|key| Ok(key.read()?.jwk()))
            .collect::<Result<_, KeyError>>()?;
        Ok(KeySet { keys })
    }

    /// Every key there ever was, oldest first.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn keys(&self) -> Result<Vec<KeyReport>, sqlx::Error> {
        sqlx::query_as(
            "select kid, leaves_at is null as signs, leaves_at is null or leaves_at > now() as published, tokens_issued
             from signing_keys order by at",
        )
        .fetch_all(&self.pool)
        .await
    }

    /// The password that is kept of a customer.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn password(&self, customer: &str) -> Result<Option<Kept>, sqlx::Error> {
        let kept: Option<(Vec<u8>, Vec<u8>)> =
            sqlx::query_as("select salt, password_hash from customers where customer_id = $1")
                .bind(customer)
                .fetch_optional(&self.pool)
                .await?;
        Ok(kept.map(|(salt, hash)| Kept { salt, hash }))
    }

    /// Takes a new customer in; false when the name is taken meanwhile.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn sign_up(&self, customer: &str, kept: &Kept) -> Result<bool, sqlx::Error> {
        let done = sqlx::query(
            "insert into customers (customer_id, salt, password_hash) values ($1, $2, $3) on conflict do nothing",
        )
        .bind(customer)
        .bind(&kept.salt)
        .bind(&kept.hash)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

fn new_kid() -> String {
    Uuid::now_v7().simple().to_string()
}
