//! All SQL of the analytics service.

use std::collections::BTreeSet;

use serde::Serialize;
use service_kit::database::{DatabaseSettings, Pool};
use service_kit::defences::Defences;
use service_kit::fail_point::{self, Injected};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::batch::taken::Taken;
use crate::defences::Defence;
use crate::domain::{Claims, Counted, ObjectName};

/// How many builds are remembered.
const BUILDS_KEPT: i64 = 1_000;

/// The service's database.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
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
    pub fn new(pool: Pool, settings: DatabaseSettings, defences: Defences<Defence>) -> Self {
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
        if self.defences.on(Defence::AtomicBatch) {
            let mut transaction = self.pool.begin().await?;
            self.steps(&mut transaction, build).await?;
            transaction.commit().await?;
        } else {
            let mut lent = self.pool.acquire().await?;
            self.steps(&mut lent, build).await?;
            lent.give_back();
        }
        Ok(())
    }

    async fn steps(
        &self,
        connection: &mut PgConnection,
        build: &Build<'_>,
    ) -> Result<(), StoreError> {
        let taken = take(connection, build.objects).await?;
        let new = build.objects.iter();
        let new = new.filter(|(name, _)| taken.contains(&name.to_string()));
        let events: Vec<&Counted> = new.flat_map(|(_, counted)| counted).collect();
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

/// Notes objects as taken in; the names of those that were not before.
async fn take(
    connection: &mut PgConnection,
    objects: &[(ObjectName, Vec<Counted>)],
) -> Result<BTreeSet<String>, sqlx::Error> {
    let names: Vec<String> = objects.iter().map(|(name, _)| name.to_string()).collect();
    let of = |field: fn(&ObjectName) -> i64| -> Vec<i64> {
        objects.iter().map(|(name, _)| field(name)).collect()
    };
    let taken: Vec<String> = sqlx::query_scalar(
        "insert into taken_objects (name, partition, first_offset, next_offset)
         select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
         on conflict (name) do nothing returning name",
    )
    .bind(names)
    .bind(of(|name| i64::from(name.partition)))
    .bind(of(|name| name.first))
    .bind(of(|name| name.next))
    .fetch_all(connection)
    .await?;
    Ok(taken.into_iter().collect())
}

/// All in one statement, as a batch has to end in time however far behind it is.
async fn insert_events(
    connection: &mut PgConnection,
    events: &[&Counted],
    copies_count: bool,
) -> Result<(), sqlx::Error> {
    let texts = |field: fn(&Counted) -> &str| -> Vec<&str> {
        events.iter().map(|event| field(event)).collect()
    };
    let numbers = |field: fn(&Counted) -> i64| -> Vec<i64> {
        events.iter().map(|event| field(event)).collect()
    };
    let times: Vec<OffsetDateTime> = events.iter().map(|event| event.at).collect();
    // A statement may not touch a row twice: of copies that do not count, the first one of the topic stands for all.
    sqlx::query(
        "insert into events (message_id, copy, order_id, partition, record_offset, kind, at, window_start_s, currency, amount_minor)
         select message_id, case when $1 then nextval('event_copies') else 0 end, order_id, partition, record_offset, kind, at,
                window_start_s, currency, amount_minor
         from (
             select *, row_number() over (partition by message_id order by record_offset) as number
             from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::timestamptz[], $8::bigint[],
                         $9::text[], $10::bigint[])
                  as found (message_id, order_id, partition, record_offset, kind, at, window_start_s, currency, amount_minor)
         ) as numbered
         where $1 or number = 1
         on conflict (message_id, copy) do update set record_offset = least(events.record_offset, excluded.record_offset)",
    )
    .bind(copies_count)
    .bind(texts(|event| &event.message_id))
    .bind(texts(|event| &event.order_id))
    .bind(numbers(|event| i64::from(event.partition)))
    .bind(numbers(|event| event.offset))
    .bind(texts(|event| &event.kind))
    .bind(times)
    .bind(numbers(|event| event.window_start_s))
    .bind(texts(|event| &event.currency))
    .bind(numbers(|event| event.amount_minor))
    .execute(connection)
    .await?;
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
