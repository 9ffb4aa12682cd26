//! PostgreSQL: locks that are taken crosswise on purpose, and the database's own count of the deadlocks it resolved.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{
    MechanismError,
    postgres::{bounded, quoted},
};

/// Longest wait for one lock, in milliseconds: longer than PostgreSQL waits before it looks for a deadlock (1 s unless it
/// is told otherwise), shorter than the time within which it must answer us.
const LOCK_LIMIT_MS: u32 = 3_000;

/// What became of asking for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// What was asked for.
    All,
    /// Somebody held them for too long.
    NothingInTime,
    /// The database ended our transaction to resolve a deadlock.
    NothingAsVictim,
}

/// A transaction that takes rows and tables in an order of its own.
#[derive(Debug)]
pub struct Crosswise {
    holder: PgConnection,
    backend: i32,
}

impl Crosswise {
    /// Connects to the database at `url`; nothing is locked yet.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn connect(url: &str) -> Result<Self, MechanismError> {
        let doing = "connecting to lock rows";
        bounded(doing, async {
            let failed = |error| MechanismError::failed(doing, error);
            let mut holder = PgConnection::connect(url).await.map_err(failed)?;
            let backend = sqlx::query_scalar("select pg_backend_pid()")
                .fetch_one(&mut holder)
                .await
                .map_err(failed)?;
            Ok(Self { holder, backend })
        })
        .await
    }

    /// Process id of the database backend.
    #[must_use]
    pub fn backend(&self) -> i32 {
        self.backend
    }

    /// Whether there is such a table, and rows that meet the SQL condition, if there is one.
    ///
    /// # Errors
    /// There is no such table, the condition is not SQL, or no row meets it.
    pub async fn check(&mut self, table: &str, rows: Option<&str>) -> Result<(), MechanismError> {
        let doing = format!("looking at {}", in_words(table, rows));
        // The condition comes from the profile, written by whoever drills his own database: it is SQL on purpose.
        let sql = format!(
            "select exists (select 1 from {} where {})",
            quoted(table),
            rows.unwrap_or("true")
        );
        let there: bool = bounded(&doing, async {
            sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut self.holder)
                .await
                .map_err(|error| MechanismError::failed(&doing, error))
        })
        .await?;
        if rows.is_some() && !there {
            let why = "no row meets the condition, so nothing would be locked";
            return Err(MechanismError::failed(&doing, why));
        }
        Ok(())
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn begin(&mut self) -> Result<(), MechanismError> {
        let sql = format!("begin; set local lock_timeout = {LOCK_LIMIT_MS}");
        self.execute("beginning to lock crosswise", sql).await
    }

    /// Asks for rows, or for a whole table against everybody who writes to it, for at most the lock limit.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn take(&mut self, table: &str, rows: Option<&str>) -> Result<Taken, MechanismError> {
        let doing = format!("locking {}", in_words(table, rows));
        let table = quoted(table);
        let sql = match rows {
            Some(condition) => format!("select 1 from {table} where {condition} for update"),
            None => format!("lock table {table} in share mode"),
        };
        bounded(&doing, async {
            match sqlx::query(AssertSqlSafe(sql))
                .execute(&mut self.holder)
                .await
            {
                Ok(_) => Ok(Taken::All),
                Err(error) => match error.as_database_error().and_then(|error| error.code()) {
                    Some(code) if code == "40P01" => Ok(Taken::NothingAsVictim),
                    Some(code) if code == "55P03" => Ok(Taken::NothingInTime),
                    _ => Err(MechanismError::failed(&doing, error)),
                },
            }
        })
        .await
    }

    /// Gives everything back without changing anything.
    ///
    /// # Errors
    /// The connection was lost; the database has then given the locks back itself.
    pub async fn let_go(&mut self) -> Result<(), MechanismError> {
        let doing = "giving locks back";
        self.execute(doing, "rollback".to_owned()).await
    }

    async fn execute(&mut self, doing: &str, sql: String) -> Result<(), MechanismError> {
        bounded(doing, async {
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut self.holder)
                .await
                .map(drop)
                .map_err(|error| MechanismError::failed(doing, error))
        })
        .await
    }
}

fn in_words(table: &str, rows: Option<&str>) -> String {
    match rows {
        Some(condition) => format!("rows of {table} where {condition}"),
        None => format!("table {table}"),
    }
}

/// The database's own count of the deadlocks that it resolved.
#[derive(Debug)]
pub struct Deadlocks {
    observer: PgConnection,
}

impl Deadlocks {
    /// Counts those of the database at `url`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn of(url: &str) -> Result<Self, MechanismError> {
        let doing = "counting deadlocks";
        let observer = bounded(doing, async {
            PgConnection::connect(url)
                .await
                .map_err(|error| MechanismError::failed(doing, error))
        })
        .await?;
        Ok(Self { observer })
    }

    /// How many there were since the database exists; a session reports its own when it has come to rest.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn resolved(&mut self) -> Result<u64, MechanismError> {
        let doing = "counting deadlocks";
        let sql = "select deadlocks from pg_stat_database where datname = current_database()";
        let count: i64 = bounded(doing, async {
            sqlx::query_scalar(sql)
                .fetch_one(&mut self.observer)
                .await
                .map_err(|error| MechanismError::failed(doing, error))
        })
        .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
