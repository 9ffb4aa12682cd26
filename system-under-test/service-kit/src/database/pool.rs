//! A pool whose connections come back without a word.
//!
//! sqlx asks a connection that comes back whether it lives and lends it on only when it has answered, so that of two
//! statements in a row the second finds no free connection and opens one more. Here a connection whose work ended well is
//! lent on at once; one whose work did not end well is asked as sqlx does it, but for a limited time.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgConnectOptions, PgPool, PgQueryResult, PgRow, PgStatement, PgTransactionManager, PgTypeInfo,
};
use sqlx::{Connection, Either, Execute, Executor, PgConnection, Postgres, SqlSafeStr, SqlStr};
use sqlx_core::transaction::TransactionManager;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A connection that came back so recently is not asked whether it lives, unless the work of another one has not ended well
/// since: half of all that is said to a database would be such questions.
pub(super) const TRUSTED_FOR: Duration = Duration::from_millis(250);

/// A connection whose work did not end well says within this time that it lives, or within the time that others wait for a
/// place if that is shorter, else it is closed: one that hangs must not hold a place for ever.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The connections of a service to its database. Clones share them.
///
/// As an executor it gathers all rows before it hands out the first; to read more than memory holds,
/// [`Pool::acquire`] a connection.
#[derive(Debug, Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    opened: PgPool,
    /// One for every connection that may be open.
    places: Arc<Semaphore>,
    /// Those that nobody uses; the last one that came back is lent next.
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    lent_first: Instant,
    since: Instant,
    /// Whether the work of another one has not ended well since.
    doubted: bool,
}

impl Kept {
    fn is_trusted(&self) -> bool {
        !self.doubted && self.since.elapsed() < TRUSTED_FOR
    }
}

impl From<PgPool> for Pool {
    /// With the limits that `opened` has; nobody else should use that.
    fn from(opened: PgPool) -> Self {
        let connections = opened.options().get_max_connections();
        let places = usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                opened,
                places: Arc::new(Semaphore::new(places)),
                kept: Mutex::default(),
            }),
        }
    }
}

impl Pool {
    /// A connection, which lives as far as is known: one that is free, or a new one.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] when none is free in time, [`sqlx::Error::PoolClosed`], or why none can be opened.
    pub async fn acquire(&self) -> Result<Lent, sqlx::Error> {
        let limit = self.shared.opened.options().get_acquire_timeout();
        match tokio::time::timeout(limit, self.lend()).await {
            Ok(lent) => lent,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    async fn lend(&self) -> Result<Lent, sqlx::Error> {
        let places = Arc::clone(&self.shared.places);
        let mut place = places
            .acquire_owned()
            .await
            .map_err(|_| sqlx::Error::PoolClosed)?;
        loop {
            let kept = self.shared.kept().pop();
            let Some(kept) = kept else {
                let connection = self.shared.opened.acquire().await?;
                return Ok(self.lent(connection, Instant::now(), place));
            };
            let is_trusted = kept.is_trusted();
            let mut lent = self.lent(kept.connection, kept.lent_first, place);
            if is_trusted || lent.ping().await.is_ok() {
                return Ok(lent);
            }
            match lent.close() {
                Some(free) => place = free,
                None => return Err(sqlx::Error::PoolClosed),
            }
        }
    }

    fn lent(
        &self,
        connection: PoolConnection<Postgres>,
        lent_first: Instant,
        place: OwnedSemaphorePermit,
    ) -> Lent {
        Lent {
            held: Some((connection, place)),
            lent_first,
            begins: false,
            shared: Arc::clone(&self.shared),
        }
    }

    /// A transaction on a connection of its own.
    ///
    /// # Errors
    /// As [`Pool::acquire`], or why the transaction does not begin.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        self.begin_as(None).await
    }

    /// A transaction that begins with `statement` instead of `begin`.
    ///
    /// # Errors
    /// As [`Pool::begin`].
    pub async fn begin_with(&self, statement: impl SqlSafeStr) -> Result<Transaction, sqlx::Error> {
        self.begin_as(Some(statement.into_sql_str())).await
    }

    async fn begin_as(&self, statement: Option<SqlStr>) -> Result<Transaction, sqlx::Error> {
        let mut lent = self.acquire().await?;
        lent.begins = true;
        PgTransactionManager::begin(&mut lent, statement).await?;
        lent.begins = false;
        Ok(Transaction { lent: Some(lent) })
    }

    /// How connections are opened from now on; those that are open stay so.
    pub fn set_connect_options(&self, change: impl FnOnce(PgConnectOptions) -> PgConnectOptions) {
        let options = PgConnectOptions::clone(&self.shared.opened.connect_options());
        self.shared.opened.set_connect_options(change(options));
    }

    /// Connections that are open.
    pub fn size(&self) -> u32 {
        self.shared.opened.size()
    }
}

impl Shared {
    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection back, and closes those that nobody has wanted for long.
    fn keep(&self, kept: Kept) {
        let idle_limit = self.opened.options().get_idle_timeout();
        let mut all = self.kept();
        all.push(kept);
        let wanted = |kept: &Kept| idle_limit.is_none_or(|limit| kept.since.elapsed() < limit);
        let unwanted = all.iter().take_while(|kept| !wanted(kept)).count();
        for kept in all.drain(..unwanted) {
            drop(kept.connection.detach());
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Left alone, each would start a task that asks whether it lives.
        for kept in self.kept().drain(..) {
            drop(kept.connection.detach());
        }
    }
}

/// A connection that is lent. Whoever is done with it and had no error gives it back with [`Lent::give_back`]; one that is
/// dropped is asked first whether it lives, and what it had begun is rolled back.
#[derive(Debug)]
pub struct Lent {
    held: Option<(PoolConnection<Postgres>, OwnedSemaphorePermit)>,
    lent_first: Instant,
    /// Whether it may be inside a transaction that sqlx does not know of, because nobody waited for its beginning.
    begins: bool,
    shared: Arc<Shared>,
}

impl Lent {
    /// To be lent on at once. Nothing that was asked may be unanswered, and no transaction open.
    pub fn give_back(mut self) {
        let too_old = self.shared.opened.options().get_max_lifetime();
        let young = too_old.is_none_or(|limit| self.lent_first.elapsed() < limit);
        if !young || PgTransactionManager::get_transaction_depth(&self) > 0 {
            return;
        }
        if let Some((connection, place)) = self.held.take() {
            self.shared.keep(Kept {
                connection,
                lent_first: self.lent_first,
                since: Instant::now(),
                doubted: false,
            });
            drop(place);
        }
    }

    /// Closes it without a word; what is left is its place.
    fn close(mut self) -> Option<OwnedSemaphorePermit> {
        let (connection, place) = self.held.take()?;
        drop(connection.detach());
        Some(place)
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        let (connection, _) = self.held.as_ref().expect("held until it is given back");
        connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        let (connection, _) = self.held.as_mut().expect("held until it is given back");
        connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some((mut connection, place)) = self.held.take() else {
            return;
        };
        // What ended this one may have ended them all.
        for kept in self.shared.kept().iter_mut() {
            kept.doubted = true;
        }
        // Is sent when the connection is asked whether it lives.
        while PgTransactionManager::get_transaction_depth(&connection) > 0 {
            PgTransactionManager::start_rollback(&mut connection);
        }
        let runtime = match Handle::try_current() {
            Ok(runtime) if !self.begins => runtime,
            _ => {
                drop(connection.detach());
                return;
            }
        };
        let acquire_limit = self.shared.opened.options().get_acquire_timeout();
        let limit = acquire_limit.min(ANSWER_LIMIT);
        runtime.spawn(async move {
            // What does not answer in time is closed with the future that waits for it.
            let answered = tokio::time::timeout(limit, connection.return_to_pool()).await;
            if answered.is_err() {
                tracing::warn!(
                    ?limit,
                    "a connection to the database said nothing and was closed"
                );
            }
            drop(place);
        });
    }
}

/// A transaction on a lent connection; rolled back unless it is committed.
#[derive(Debug)]
pub struct Transaction {
    lent: Option<Lent>,
}

impl Transaction {
    /// Commits.
    ///
    /// # Errors
    /// Why the database did not; after a lost connection, whether it did is unknown.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        PgTransactionManager::commit(&mut self).await?;
        self.give_back();
        Ok(())
    }

    /// Rolls back.
    ///
    /// # Errors
    /// Why the database did not; then it does so when it notices that the connection is gone.
    pub async fn rollback(mut self) -> Result<(), sqlx::Error> {
        PgTransactionManager::rollback(&mut self).await?;
        self.give_back();
        Ok(())
    }

    fn give_back(mut self) {
        if let Some(lent) = self.lent.take() {
            lent.give_back();
        }
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.lent.as_ref().expect("held until the end")
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.lent.as_mut().expect("held until the end")
    }
}

/// Gathers what a query yields, and gives the connection back when all of it came.
impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let gathered = async move {
            let mut lent = self.acquire().await?;
            let all: Vec<_> = lent.fetch_many(query).try_collect().await?;
            lent.give_back();
            Ok::<_, sqlx::Error>(stream::iter(all.into_iter().map(Ok)))
        };
        stream::once(gathered).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut lent = self.acquire().await?;
            let row = lent.fetch_optional(query).await?;
            lent.give_back();
            Ok(row)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut lent = self.acquire().await?;
            let statement = lent.prepare_with(sql, parameters).await?;
            lent.give_back();
            Ok(statement)
        })
    }
}
