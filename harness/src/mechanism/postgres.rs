//! PostgreSQL: locks that are held on purpose, and who waits for them.

use std::{collections::BTreeSet, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::MechanismError;

/// The database answers within this time or the request has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A transaction that holds a lock until it is released.
#[derive(Debug)]
pub struct HeldLock {
    holder: PgConnection,
    backend: i32,
    rows: u64,
}

/// What a lock covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Covered {
    /// The rows that meet an SQL condition; all rows without one.
    Rows(Option<String>),
    /// The whole table, against readers as well.
    Table,
}

impl HeldLock {
    /// Opens a transaction on the database at `url` and locks.
    ///
    /// # Errors
    /// The database does not answer, there is no such table, the condition is not SQL, or no row meets it.
    pub async fn take(url: &str, table: &str, covered: &Covered) -> Result<Self, MechanismError> {
        let doing = format!("locking {table}");
        bounded(&doing, Self::lock(url, table, covered, &doing)).await
    }

    async fn lock(
        url: &str,
        table: &str,
        covered: &Covered,
        doing: &str,
    ) -> Result<Self, MechanismError> {
        let failed = |error: sqlx::Error| MechanismError::failed(doing, error);
        let mut holder = PgConnection::connect(url).await.map_err(failed)?;
        let backend = sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(&mut holder)
            .await
            .map_err(failed)?;
        sqlx::query("begin")
            .execute(&mut holder)
            .await
            .map_err(failed)?;
        let table_name = quoted(table);
        // The condition comes from the profile, written by whoever drills his own database: it is SQL on purpose.
        let (statement, wants_rows) = match covered {
            Covered::Table => (
                format!("lock table {table_name} in access exclusive mode"),
                false,
            ),
            Covered::Rows(condition) => (
                format!(
                    "select 1 from {table_name} where {} for update",
                    condition.as_deref().unwrap_or("true")
                ),
                true,
            ),
        };
        let done = sqlx::query(AssertSqlSafe(statement))
            .execute(&mut holder)
            .await
            .map_err(failed)?;
        if wants_rows && done.rows_affected() == 0 {
            return Err(MechanismError::failed(
                doing,
                "no row meets the condition, so nothing is locked",
            ));
        }
        Ok(Self {
            holder,
            backend,
            rows: done.rows_affected(),
        })
    }

    /// Process id of the database backend that holds the lock.
    #[must_use]
    pub fn backend(&self) -> i32 {
        self.backend
    }

    /// Rows that are locked; 0 for a whole table.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Gives the lock back without changing anything.
    ///
    /// # Errors
    /// The connection was lost; the database has then given the lock back itself.
    pub async fn release(&mut self) -> Result<(), MechanismError> {
        let doing = "giving a lock back";
        bounded(doing, async {
            sqlx::query("rollback")
                .execute(&mut self.holder)
                .await
                .map(drop)
                .map_err(|error| MechanismError::failed(doing, error))
        })
        .await
    }
}

/// Watches who waits for a backend's locks.
#[derive(Debug)]
pub struct Waiting {
    observer: PgConnection,
    backend: i32,
}

impl Waiting {
    /// Watches the waiters of the lock that `backend` holds on the database at `url`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn on(url: &str, backend: i32) -> Result<Self, MechanismError> {
        let doing = "watching a lock";
        let observer = bounded(doing, async {
            PgConnection::connect(url)
                .await
                .map_err(|error| MechanismError::failed(doing, error))
        })
        .await?;
        Ok(Self { observer, backend })
    }

    /// The statements that wait at this moment: one `pid@start of the statement` each.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn now(&mut self) -> Result<BTreeSet<String>, MechanismError> {
        let doing = "asking who waits for a lock";
        let rows = bounded(doing, async {
            sqlx::query(
                "select pid::text || '@' || query_start::text as statement from pg_stat_activity \
                 where wait_event_type = 'Lock' and $1 = any(pg_blocking_pids(pid))",
            )
            .bind(self.backend)
            .fetch_all(&mut self.observer)
            .await
            .map_err(|error| MechanismError::failed(doing, error))
        })
        .await?;
        rows.iter()
            .map(|row| {
                row.try_get("statement")
                    .map_err(|error| MechanismError::failed(doing, error))
            })
            .collect()
    }
}

/// A name in SQL, `schema.table` included.
pub(super) fn quoted(name: &str) -> String {
    name.split('.')
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect::<Vec<_>>()
        .join(".")
}

pub(super) async fn bounded<T>(
    doing: &str,
    work: impl Future<Output = Result<T, MechanismError>>,
) -> Result<T, MechanismError> {
    tokio::time::timeout(ANSWER_WITHIN, work)
        .await
        .unwrap_or_else(|_| {
            Err(MechanismError::failed(
                doing,
                format!("no answer within {} s", ANSWER_WITHIN.as_secs()),
            ))
        })
}
