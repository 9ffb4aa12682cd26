//! PostgreSQL with explicit limits everywhere.
//!
//! * [`migrate`]: embedded migrations, interchangeable with files of the same names.
//! * [`password`]: a password that lies in a file and may change there.
//! * [`pool`]: connections that are lent on as soon as they are given back.
//! * [`retry`]: transactions that lost a deadlock or a serialization conflict are run again, so many times.

pub mod migrate;
pub mod password;
pub mod pool;
pub mod retry;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::service::Service;
use crate::settings::Settings;

use pool::TRUSTED_FOR;

pub use migrate::{MigrateError, migrate};
pub use password::PasswordFile;
pub use pool::{Lent, Pool, Transaction};
pub use retry::{SqlState, TransactionRetry, with_retries};

/// How a service uses its database.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// Where it is, who comes, and with which password.
    pub address: PgConnectOptions,
    /// Where that password was read, if it was not in `DATABASE_URL`.
    pub password_file: Option<PasswordFile>,
    /// Whether a password that changes in its file is taken up; otherwise the one that was read at the start is kept.
    pub follows_password: bool,
    /// Connections at most.
    pub connections: u32,
    /// How long to wait for a free connection, or for a new one.
    pub acquire_limit: Duration,
    /// The server ends a statement that runs longer.
    pub statement_limit: Duration,
    /// The server ends a session that sits idle inside a transaction for longer, so that locks of a vanished client go.
    pub idle_in_transaction_limit: Duration,
    /// A whole transaction is given up on our side after this time, also when the server says nothing any more.
    pub work_limit: Duration,
    /// An idle connection is closed after this time.
    pub idle_limit: Duration,
    /// Whether a connection that was lost is replaced; otherwise only so many are ever opened as may be open at a time.
    pub replaces_lost_connections: bool,
    /// Whether the server acknowledges a commit only when it is safe.
    pub synchronous_commit: bool,
    /// How often a transaction is run again after a deadlock or a serialization conflict, and with which pauses.
    pub retry: TransactionRetry,
}

impl DatabaseSettings {
    /// Reads `DATABASE_URL` and the settings that begin with `DATABASE_`. A password in a file goes before that of the URL.
    pub fn read(settings: &mut Settings) -> Self {
        settings.in_group("PostgreSQL", Self::read_all)
    }

    fn read_all(settings: &mut Settings) -> Self {
        let mut address = settings.required_database(
            "DATABASE_URL",
            "where the database is, who comes, and with which password",
        );
        let password_file = PasswordFile::read(settings);
        if let Some(file) = &password_file {
            address = address.password(file.password());
        }
        Self {
            address,
            password_file,
            follows_password: true,
            connections: settings.number("DATABASE_CONNECTIONS", 10, 1..=1000, "most connections"),
            acquire_limit: settings.duration_ms(
                "DATABASE_ACQUIRE_LIMIT_MS",
                2_000,
                "how long to wait for a free connection, or for a new one",
            ),
            statement_limit: settings.duration_ms(
                "DATABASE_STATEMENT_LIMIT_MS",
                5_000,
                "the server ends a statement that runs longer; 0: none",
            ),
            idle_in_transaction_limit: settings.duration_ms(
                "DATABASE_IDLE_IN_TRANSACTION_LIMIT_MS",
                10_000,
                "the server ends a session that idles inside a transaction for longer",
            ),
            work_limit: settings.duration_ms(
                "DATABASE_WORK_LIMIT_MS",
                8_000,
                "a whole transaction is given up after this time, whatever the server says",
            ),
            idle_limit: settings.duration_ms(
                "DATABASE_IDLE_LIMIT_MS",
                600_000,
                "an idle connection is closed after this time",
            ),
            replaces_lost_connections: true,
            synchronous_commit: true,
            retry: TransactionRetry::read(settings),
        }
    }

    /// The pool of a service: whether the database answers is part of its readiness, and a password that changes is taken
    /// up, so far as that is wanted. Nothing is connected yet.
    pub fn open(&self, service: &Service) -> Pool {
        let pool = self.pool(&service.common.instance);
        service.health.check_database(&pool);
        let file = self.password_file.clone();
        if let Some(file) = file.filter(|_| self.follows_password) {
            let following = file.follow(pool.clone(), service.shutdown.clone());
            service.spawn("database-password", following);
        }
        pool
    }

    /// A pool with these limits. Nothing is connected yet.
    pub fn pool(&self, instance: &str) -> Pool {
        let ms = |limit: Duration| limit.as_millis().to_string();
        let address = self.address.clone().application_name(instance).options([
            ("statement_timeout", ms(self.statement_limit)),
            (
                "idle_in_transaction_session_timeout",
                ms(self.idle_in_transaction_limit),
            ),
            (
                "synchronous_commit",
                if self.synchronous_commit { "on" } else { "off" }.to_owned(),
            ),
        ]);
        let may_open = match self.replaces_lost_connections {
            true => u32::MAX,
            false => self.connections,
        };
        let so_far = Arc::new(AtomicU32::new(0));
        let opened = PgPoolOptions::new()
            .max_connections(self.connections)
            .acquire_timeout(self.acquire_limit)
            .idle_timeout(self.idle_limit)
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for >= TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |_, _| {
                let number = so_far.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move {
                    if number < may_open {
                        Ok(())
                    } else {
                        Err(not_replaced())
                    }
                })
            })
            .connect_lazy_with(address);
        Pool::from(opened)
    }

    /// Runs database work for at most [`DatabaseSettings::work_limit`].
    ///
    /// # Errors
    /// [`sqlx::Error::Io`] of kind `TimedOut` when the limit passed; whether a commit under way took effect is unknown.
    pub async fn bounded<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        E: From<sqlx::Error>,
    {
        match tokio::time::timeout(self.work_limit, work).await {
            Ok(done) => done,
            Err(_) => {
                let message = format!("no end of the transaction within {:?}", self.work_limit);
                Err(E::from(sqlx::Error::Io(std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    message,
                ))))
            }
        }
    }
}

/// The password is left out.
impl fmt::Debug for DatabaseSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DatabaseSettings")
            .field("host", &self.address.get_host())
            .field("port", &self.address.get_port())
            .field("database", &self.address.get_database())
            .field("user", &self.address.get_username())
            .field("password_file", &self.password_file)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

fn not_replaced() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(
        "a connection to the database was lost, and it is not to be replaced",
    ))
}

/// Whether the database refuses the password (28P01): then it was told another one than this service.
pub fn refuses_password(error: &sqlx::Error) -> bool {
    error.sql_state().as_deref() == Some("28P01")
}

/// Whether the connection is gone, so that another one may still answer: cut off, or ended by the server (57P01).
pub fn was_lost(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_)) || error.sql_state().as_deref() == Some("57P01")
}

/// Why the database cannot be used, for whoever runs the service. No password is in it.
pub fn in_words(error: &sqlx::Error) -> String {
    if refuses_password(error) {
        return format!(
            "it refuses the password that DATABASE_PASSWORD_FILE or DATABASE_URL says: {error}"
        );
    }
    error.to_string()
}

/// Whether the error means that no connection could be had, so that certainly nothing was done. Only meaningful for the
/// error of the first statement (`begin`) of a piece of work.
pub fn had_no_connection(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
}
