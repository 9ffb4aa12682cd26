//! One batch after the other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contracts::topic;
use futures::{StreamExt, TryStreamExt, stream};
use prometheus_client::metrics::counter::Counter;
use service_kit::defences::Defences;
use service_kit::kafka::{Bookmark, Bounds};
use service_kit::metrics::Metrics;
use service_kit::shutdown::Shutdown;
use time::OffsetDateTime;

use super::taken::Taken;
use crate::defences::Defence;
use crate::domain::claim::Honesty;
use crate::domain::counting::WindowTime;
use crate::domain::{Claims, Content, Counted, ObjectName, claim, count, object};
use crate::lake::{Lake, LakeError};
use crate::store::{Build, Store, StoreError};

/// Objects that are read at the same time.
const READ_AT_ONCE: usize = 8;

/// Runs in a row that found nothing new are counted and noted up to this number: a job that has nothing to do writes
/// nothing.
const IDLE_RUNS_AT_MOST: i32 = 10;

/// How far the dashboards go is kept again after this time though it has not changed: whoever keeps it for us may have
/// forgotten it.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// How a batch is done.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Pause between two batches.
    pub interval: Duration,
    /// Most objects that one batch takes in.
    pub objects: usize,
    /// Length of a window of event time. Seconds.
    pub window_s: i64,
}

/// The batch job.
pub struct Job {
    lake: Lake,
    store: Store,
    bookmark: Bookmark,
    defences: Defences<Defence>,
    pace: Pace,
    /// None when it has to be read from the database, at the start and after an error.
    taken: Option<Taken>,
    /// What the last build said; none when it is not known.
    said: Option<Claims>,
    /// What the database holds; none when it is not known.
    idle_runs: Option<i32>,
    /// What the bookmark was set to, and when.
    kept: Option<(BTreeMap<i32, i64>, Instant)>,
    builds: Counter,
    failures: Counter,
}

/// Why a batch came to nothing. The next one does all of it again.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The data lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Objects that are new, as they were read.
#[derive(Debug, Default)]
struct Found {
    whole: Vec<(ObjectName, Vec<Counted>)>,
    damaged: Vec<String>,
}

impl Job {
    /// A job that has done nothing yet.
    pub fn new(
        lake: Lake,
        store: Store,
        bookmark: Bookmark,
        defences: Defences<Defence>,
        pace: Pace,
        metrics: &Metrics,
    ) -> Self {
        Self {
            lake,
            store,
            bookmark,
            defences,
            pace,
            taken: None,
            said: None,
            idle_runs: None,
            kept: None,
            builds: metrics.counter("dashboard_builds", "Builds of the dashboards"),
            failures: metrics.counter("dashboard_batches_failed", "Batches that came to nothing"),
        }
    }

    /// Works until the service stops.
    ///
    /// # Errors
    /// None: a batch that fails is done again.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), BatchError> {
        while !shutdown.has_begun() {
            if let Err(error) = self.once().await {
                self.failures.inc();
                tracing::warn!(%error, "a batch came to nothing and is done again");
                self.forget();
            }
            tokio::select! {
                () = tokio::time::sleep(self.pace.interval) => {}
                () = shutdown.begun() => {}
            }
        }
        Ok(())
    }

    /// After an error nobody knows what the database holds.
    fn forget(&mut self) {
        self.taken = None;
        self.said = None;
        self.idle_runs = None;
        self.kept = None;
    }

    /// One batch: asks how far the topic goes, reads the objects that are new, and builds.
    ///
    /// # Errors
    /// [`BatchError`].
    pub async fn once(&mut self) -> Result<(), BatchError> {
        let taken = match self.taken.take() {
            Some(taken) => taken,
            None => self.store.taken().await?,
        };
        // Asked first: whatever is written afterwards is none of this batch's claims.
        let bounds = self.bookmark.bounds().await;
        let bounds = bounds
            .map(|bounds| in_pairs(&bounds))
            .map_err(|error| error.to_string());
        let found = self.read_new(&taken).await?;
        let mut covered = taken;
        for (name, _) in &found.whole {
            covered.add(name);
        }
        let honesty = Honesty {
            completeness: self.defences.on(Defence::Completeness),
            freshness: self.defences.on(Defence::Freshness),
        };
        let bounds = bounds.as_ref().map_err(String::as_str);
        let claims = claim(covered.coverage(), bounds, &found.damaged, honesty);
        let nothing_new = found.whole.is_empty() && self.said.as_ref() == Some(&claims);
        self.note_idle_runs(nothing_new).await?;
        if !nothing_new {
            let build = Build {
                objects: &found.whole,
                claims: &claims,
                built_at: OffsetDateTime::now_utc(),
                window_s: self.pace.window_s,
            };
            self.store.build(&build).await?;
            self.builds.inc();
        }
        self.keep_bookmark(&claims).await;
        self.taken = Some(covered);
        self.said = Some(claims);
        Ok(())
    }

    async fn read_one(&self, name: ObjectName) -> Result<(ObjectName, Vec<u8>), LakeError> {
        let text = self.lake.read(&name).await?;
        Ok((name, text))
    }

    async fn read_new(&self, taken: &Taken) -> Result<Found, BatchError> {
        let listed = self.lake.list(topic::ORDER_EVENTS).await?;
        let new = listed.into_iter().filter(|name| !taken.has(name));
        let arrived = OffsetDateTime::now_utc();
        let time = if self.defences.on(Defence::EventTime) {
            WindowTime::Event
        } else {
            WindowTime::Arrival
        };
        let mut found = Found::default();
        let reading: Vec<_> = new
            .take(self.pace.objects)
            .map(|name| self.read_one(name))
            .collect();
        let mut read = stream::iter(reading).buffered(READ_AT_ONCE);
        while let Some((name, text)) = read.try_next().await? {
            let lines = match object::read(&name, &text) {
                Ok(lines) => lines,
                Err(damage) => {
                    tracing::warn!(object = %name, %damage, "an object is not taken in");
                    found.damaged.push(format!("{name}: {damage}"));
                    continue;
                }
            };
            let events = lines.iter().filter_map(|line| match &line.content {
                Content::Event(event) => Some(count(
                    event,
                    (name.partition, line.offset),
                    arrived,
                    time,
                    self.pace.window_s,
                )),
                Content::Parked(_) => None,
            });
            let events = events.collect();
            found.whole.push((name, events));
        }
        Ok(found)
    }

    async fn note_idle_runs(&mut self, nothing_new: bool) -> Result<(), StoreError> {
        let before = self.idle_runs;
        let now = match nothing_new {
            true => before.unwrap_or(0).saturating_add(1).min(IDLE_RUNS_AT_MOST),
            false => 0,
        };
        if before != Some(now) {
            self.store.note_idle_runs(now).await?;
            self.idle_runs = Some(now);
        }
        Ok(())
    }

    /// How far the dashboards go, for whoever looks at the lag. It is kept again with the next batch if it is not now.
    async fn keep_bookmark(&mut self, claims: &Claims) {
        let next: BTreeMap<i32, i64> = claims
            .partitions
            .iter()
            .map(|claim| (claim.partition, claim.counted_to))
            .collect();
        if let Some((kept, at)) = &self.kept
            && *kept == next
            && at.elapsed() < KEEP_EVERY
        {
            return;
        }
        self.kept = match self.bookmark.keep(next.clone()).await {
            Ok(()) => Some((next, Instant::now())),
            Err(error) => {
                tracing::info!(%error, "the queue was not told how far the dashboards go");
                None
            }
        };
    }
}

fn in_pairs(bounds: &BTreeMap<i32, Bounds>) -> BTreeMap<i32, (i64, i64)> {
    bounds
        .iter()
        .map(|(partition, bounds)| (*partition, (bounds.first, bounds.end)))
        .collect()
}
