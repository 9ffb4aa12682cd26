//! All SQL of the analytics service.

use serde::Serialize;
use service_kit::database::DatabaseSettings;
use service_kit::defences::Defences;
use service_kit::fail_point::{self, Injected};
use sqlx::{Connection, PgConnection, PgPool};
use time::OffsetDateTime;

use crate::batch::taken::Taken;
use crate::defences::Defence;
use crate::domain::{Claims, Counted, ObjectName};

/// How many builds are remembered.
const BUILDS_KEPT: i64 = 1_000;

/// The service's database.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    settings: DatabaseSettings,
    defences: Defences<Defence>,
}

/// Why something was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is out of reach.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A fail-point failed the step.
    #[error(transparent)]
    Injected(#[from] Injected),
}

/// What a batch brings.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// New objects with their events.
    pub objects: &'a [(ObjectName, Vec<Counted>)],
    /// What it says about itself.
    pub claims: &'a Claims,
    /// When it began.
    pub built_at: OffsetDateTime,
    /// Length of a window. Seconds.
    pub window_s: i64,
}

/// One window of one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct DashboardRow {
    /// Beginning of the window. Seconds since 1970.
    pub window_start_s: i64,
    /// Its length. Seconds.
    pub window_s: i64,
    /// ISO 4217.
    pub currency: String,
    /// Orders placed in it.
    pub placed: i64,
    /// Orders paid in it.
    pub paid: i64,
    /// Orders given back in it.
    pub refunded: i64,
    /// What was paid in it, in minor units; what was given back is not taken off.
    pub revenue_minor: i64,
}

/// What the newest build says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Freshness {
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub built_at: OffsetDateTime,
    /// The newest event in it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub newest_event_at: Option<OffsetDateTime>,
    /// Whether it held every event that the topic had when it began.
    pub complete: bool,
    /// Why it did not.
    pub reason: Option<String>,
    /// How many messages it lacked; none when nobody could know.
    pub behind: Option<i64>,
}

impl Store {
    /// A store over a pool.
    pub fn new(pool: PgPool, settings: DatabaseSettings, defences: Defences<Defence>) -> Self {
        Self {
            pool,
            settings,
            defences,
        }
    }

    /// The objects that were taken in.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn taken(&self) -> Result<Taken, StoreError> {
        let read = async {
            let sql = "select name from taken_objects";
            let names: Vec<String> = sqlx::query_scalar(sql).fetch_all(&self.pool).await?;
            let mut taken = Taken::default();
            for name in names.iter().filter_map(|name| ObjectName::parse(name)) {
                taken.add(&name);
            }
            Ok(taken)
        };
        self.settings.bounded(read).await
    }

    /// Takes objects in, counts their events, builds the windows that they touch and writes down what is claimed: all of
    /// it or nothing.
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn build(&self, build: &Build<'_>) -> Result<(), StoreError> {
        self.settings.bounded(self.try_to_build(build)).await
    }

    async fn try_to_build(&self, build: &Build<'_>) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        if self.defences.on(Defence::AtomicBatch) {
            let mut transaction = connection.begin().await?;
            self.steps(&mut transaction, build).await?;
            Ok(transaction.commit().await?)
        } else {
            self.steps(&mut connection, build).await
        }
    }

    async fn steps(
        &self,
        connection: &mut PgConnection,
        build: &Build<'_>,
    ) -> Result<(), StoreError> {
        let mut events: Vec<&Counted> = Vec::new();
        for (name, counted) in build.objects {
            if take(connection, name).await? {
                events.extend(counted);
            }
        }
        fail_point::pass("analytics.in-the-middle-of-batch").await?;
        let copies_count = !self.defences.on(Defence::Dedup);
        insert_events(connection, &events, copies_count).await?;
        let mut windows: Vec<i64> = events.iter().map(|event| event.window_start_s).collect();
        windows.sort_unstable();
        windows.dedup();
        build_rows(connection, &windows, build.window_s).await?;
        let as_of = (!self.defences.on(Defence::Freshness)).then_some(build.built_at);
        write_claims(connection, build, as_of).await?;
        Ok(())
    }

    /// Writes down how often in a row a batch found nothing new.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn note_idle_runs(&self, idle_runs: i32) -> Result<(), StoreError> {
        let write = async {
            sqlx::query("update batch_state set idle_runs = $1")
                .bind(idle_runs)
                .execute(&self.pool)
                .await?;
            Ok(())
        };
        self.settings.bounded(write).await
    }

    /// The dashboards, oldest window first, and what the newest build says about itself.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn dashboards(&self) -> Result<(Vec<DashboardRow>, Option<Freshness>), StoreError> {
        let read = async {
            let rows = sqlx::query_as(
                "select window_start_s, window_s, currency, placed, paid, refunded, revenue_minor
                 from dashboard_rows order by window_start_s, currency",
            )
            .fetch_all(&self.pool)
            .await?;
            let freshness = sqlx::query_as(
                "select built_at, newest_event_at, complete, reason,
                        (select sum(behind)::bigint from claims where claims.build = builds.build) as behind
                 from builds order by build desc limit 1",
            )
            .fetch_optional(&self.pool)
            .await?;
            Ok((rows, freshness))
        };
        self.settings.bounded(read).await
    }
}

/// Notes an object as taken in; false when it was before.
async fn take(connection: &mut PgConnection, object: &ObjectName) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query(
        "insert into taken_objects (name, partition, first_offset, next_offset) values ($1, $2, $3, $4)
         on conflict (name) do nothing",
    )
    .bind(object.to_string())
    .bind(object.partition)
    .bind(object.first)
    .bind(object.next)
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

async fn insert_events(
    connection: &mut PgConnection,
    events: &[&Counted],
    copies_count: bool,
) -> Result<(), sqlx::Error> {
    for event in events {
        sqlx::query(
            "insert into events (message_id, copy, order_id, partition, record_offset, kind, at, window_start_s, currency, amount_minor)
             values ($1, case when $2 then nextval('event_copies') else 0 end, $3, $4, $5, $6, $7, $8, $9, $10)
             on conflict (message_id, copy) do update set record_offset = least(events.record_offset, excluded.record_offset)",
        )
        .bind(&event.message_id)
        .bind(copies_count)
        .bind(&event.order_id)
        .bind(event.partition)
        .bind(event.offset)
        .bind(&event.kind)
        .bind(event.at)
        .bind(event.window_start_s)
        .bind(&event.currency)
        .bind(event.amount_minor)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn build_rows(
    connection: &mut PgConnection,
    windows: &[i64],
    window_s: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from dashboard_rows where window_start_s = any($1)")
        .bind(windows)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "insert into dashboard_rows (window_start_s, window_s, currency, placed, paid, refunded, revenue_minor)
         select window_start_s, $2, currency,
                count(*) filter (where kind = 'placed'),
                count(*) filter (where kind = 'paid'),
                count(*) filter (where kind = 'refunded'),
                coalesce(sum(amount_minor) filter (where kind = 'paid'), 0)::bigint
         from events where window_start_s = any($1) and kind in ('placed', 'paid', 'refunded')
         group by window_start_s, currency",
    )
    .bind(windows)
    .bind(window_s)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

async fn write_claims(
    connection: &mut PgConnection,
    build: &Build<'_>,
    as_of: Option<OffsetDateTime>,
) -> Result<(), sqlx::Error> {
    let Claims {
        partitions,
        reasons,
    } = build.claims;
    let id: i64 = sqlx::query_scalar(
        "insert into builds (built_at, newest_event_at, complete, reason)
         values ($1, coalesce($2, (select max(at) from events)), $3, $4) returning build",
    )
    .bind(build.built_at)
    .bind(as_of)
    .bind(reasons.is_empty())
    .bind((!reasons.is_empty()).then(|| reasons.join("; ")))
    .fetch_one(&mut *connection)
    .await?;
    for claim in partitions {
        sqlx::query(
            "insert into claims (build, partition, complete, counted, behind, end_offset)
             values ($1, $2, $3, (select count(*) from events where partition = $2 and record_offset < $5), $4, $5)",
        )
        .bind(id)
        .bind(claim.partition)
        .bind(claim.complete)
        .bind(claim.behind)
        .bind(claim.end_offset)
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query("delete from builds where build <= $1")
        .bind(id - BUILDS_KEPT)
        .execute(connection)
        .await?;
    Ok(())
}
