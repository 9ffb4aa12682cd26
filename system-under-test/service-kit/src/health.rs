//! Whether this process is ready for work, and if not, why.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::database;

/// A check that takes longer counts as failed.
const CHECK_LIMIT: Duration = Duration::from_secs(1);
/// For so long an answer is given again without asking anew, so that probes cannot become a load.
const FRESH_FOR: Duration = Duration::from_millis(50);

type Outcome = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Check = (&'static str, Arc<dyn Fn() -> Outcome + Send + Sync>);

/// Readiness of a process: a set of named checks.
#[derive(Clone, Default)]
pub struct Health {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    checks: Mutex<Vec<Check>>,
    started: AtomicBool,
    stopping: AtomicBool,
    last: tokio::sync::Mutex<Option<(Instant, Readiness)>>,
}

/// The answer of `GET /health/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether every check passed.
    pub ready: bool,
    /// Why not: name of the check and its reason.
    pub reasons: Vec<String>,
}

impl Health {
    /// Adds a check. It is asked at every probe and must answer within a second.
    pub fn check<F, Fut>(&self, name: &'static str, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let boxed = Arc::new(move || Box::pin(check()) as Outcome);
        self.shared
            .checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((name, boxed));
    }

    /// Adds the check that the database answers.
    pub fn check_database(&self, pool: &database::Pool) {
        let pool = pool.clone();
        self.check("database", move || {
            let pool = pool.clone();
            async move {
                let ask = || sqlx::query("select 1").execute(&pool);
                let answer = match ask().await {
                    // That one connection was lost says little; after it the next one is known to live, or is new.
                    Err(error) if database::was_lost(&error) => ask().await,
                    answer => answer,
                };
                answer.map(drop).map_err(|error| database::in_words(&error))
            }
        });
    }

    /// Start-up is over; requests are let in from now on.
    pub fn mark_started(&self) {
        self.shared.started.store(true, Ordering::Release);
    }

    /// Shutdown began; the process is not ready any more.
    pub fn mark_stopping(&self) {
        self.shared.stopping.store(true, Ordering::Release);
    }

    /// Whether start-up is over.
    pub fn has_started(&self) -> bool {
        self.shared.started.load(Ordering::Acquire)
    }

    /// Runs all checks at once. Probes that come together share one run.
    pub async fn readiness(&self) -> Readiness {
        let mut last = self.shared.last.lock().await;
        if let Some((at, readiness)) = last.as_ref()
            && at.elapsed() < FRESH_FOR
        {
            return readiness.clone();
        }
        let readiness = self.ask().await;
        *last = Some((Instant::now(), readiness.clone()));
        readiness
    }

    async fn ask(&self) -> Readiness {
        let checks = self
            .shared
            .checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let running = checks.into_iter().map(|(name, check)| async move {
            let outcome = tokio::time::timeout(CHECK_LIMIT, check()).await;
            let outcome =
                outcome.unwrap_or_else(|_| Err(format!("no answer within {CHECK_LIMIT:?}")));
            outcome.err().map(|reason| format!("{name}: {reason}"))
        });
        let mut reasons: Vec<String> = futures::future::join_all(running)
            .await
            .into_iter()
            .flatten()
            .collect();
        if !self.has_started() {
            reasons.push("start-up: not finished".to_owned());
        }
        if self.shared.stopping.load(Ordering::Acquire) {
            reasons.push("shutdown: in progress".to_owned());
        }
        Readiness {
            ready: reasons.is_empty(),
            reasons,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_names_every_reason() {
        let health = Health::default();
        health.check("database", || async {
            Err("connection refused".to_owned())
        });
        health.check("queue", || async { Ok(()) });
        let readiness = health.readiness().await;
        assert!(!readiness.ready);
        assert_eq!(
            readiness.reasons,
            ["database: connection refused", "start-up: not finished"]
        );
    }

    #[tokio::test]
    async fn a_started_process_without_reasons_is_ready_until_it_stops() {
        let health = Health::default();
        health.mark_started();
        assert!(health.readiness().await.ready);
        health.mark_stopping();
        assert_eq!(health.ask().await.reasons, ["shutdown: in progress"]);
    }

    #[tokio::test]
    async fn a_check_that_hangs_is_a_reason() {
        let health = Health::default();
        health.mark_started();
        health.check("database", std::future::pending);
        assert_eq!(
            health.readiness().await.reasons,
            ["database: no answer within 1s"]
        );
    }
}
