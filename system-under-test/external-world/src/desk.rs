//! Where a role's requests come in: its own rate limit, what its scripts do, and bookings that outlive the connections
//! that asked for them.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::response::Response;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use service_kit::settings::Settings;
use tokio_util::task::TaskTracker;

use crate::problem::Problem;
use crate::script::{Act, Conduct, RequestKind, Scripts, retry_after_s};

/// Reads `RATE_LIMIT_PER_S`, the requests in a second that clients may send; 0 for no limit.
pub fn read_rate_limit(settings: &mut Settings) -> Option<NonZeroU32> {
    NonZeroU32::new(settings.number(
        "RATE_LIMIT_PER_S",
        1_000,
        0..=1_000_000,
        "requests in a second that clients may send; 0: any number",
    ))
}

/// What a client wants done.
pub trait Wish: Send + Sync + 'static {
    /// The kinds of requests of this role.
    type Kind: RequestKind;

    /// The fail-point between booking and answering.
    const AFTER_BOOKING: &'static str;

    /// Which kind of request it is.
    fn kind(&self) -> Self::Kind;

    /// Books it and says how that is answered.
    fn book(&self) -> impl Future<Output = Result<Response, Problem>> + Send;

    /// Refuses it for good and says how that is answered.
    fn decline(&self) -> impl Future<Output = Result<Response, Problem>> + Send;

    /// Says how it is answered when the version of the API that it was made for is served no more.
    fn after_retirement(&self) -> Problem {
        Problem::version_retired()
    }

    /// 200, and yet an error: what a script may ask for.
    fn error_in_disguise(&self) -> Response;
}

/// The desk of one role; clones share it.
pub struct Desk<K> {
    scripts: Arc<Scripts<K>>,
    limiter: Option<Arc<DefaultDirectRateLimiter>>,
    work: TaskTracker,
}

impl<K> Clone for Desk<K> {
    fn clone(&self) -> Self {
        Self {
            scripts: self.scripts.clone(),
            limiter: self.limiter.clone(),
            work: self.work.clone(),
        }
    }
}

impl<K: RequestKind> Desk<K> {
    /// A desk without scripts. `work` tracks bookings that must be finished before the process ends.
    pub fn new(rate_limit_per_s: Option<NonZeroU32>, work: TaskTracker) -> Self {
        Self {
            scripts: Arc::default(),
            limiter: rate_limit_per_s
                .map(|rate| Arc::new(RateLimiter::direct(Quota::per_second(rate)))),
            work,
        }
    }

    /// The scripts, for those who set them.
    pub fn scripts(&self) -> Arc<Scripts<K>> {
        self.scripts.clone()
    }

    /// Serves a request. What was begun is carried through even when the client hangs up: it is booked, whoever still
    /// listens. Only a hanging request ends with its connection.
    ///
    /// # Errors
    /// The request was refused, failed, or a script made it fail.
    pub async fn serve<W: Wish<Kind = K>>(&self, wish: W) -> Result<Response, Problem> {
        if let Some(seconds) = self.limiter.as_deref().and_then(retry_after_s) {
            return Err(Problem::rate_limited(seconds));
        }
        let conduct = self.scripts.conduct(wish.kind());
        if let Act::Hang(held) = conduct.act {
            tokio::time::sleep(conduct.delay + held).await;
            return Err(Problem::scripted(504));
        }
        let task = self.work.spawn(async move { act(conduct, &wish).await });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request broke down");
            Err(Problem::scripted(500))
        })
    }
}

async fn act<W: Wish>(conduct: Conduct, wish: &W) -> Result<Response, Problem> {
    tokio::time::sleep(conduct.delay).await;
    match conduct.act {
        Act::FailBeforeBooking(status) => Err(Problem::scripted(status)),
        Act::RateLimited(seconds) => Err(Problem::rate_limited(seconds)),
        Act::ErrorBody => Ok(wish.error_in_disguise()),
        Act::Decline => wish.decline().await,
        Act::RetireVersion => Err(wish.after_retirement()),
        Act::Hang(_) => Err(Problem::scripted(504)),
        Act::FailAfterBooking(status) => {
            wish.book().await?;
            Err(Problem::scripted(status))
        }
        Act::Honest => {
            let answer = wish.book().await?;
            service_kit::fail_point::pass(W::AFTER_BOOKING)
                .await
                .map_err(Problem::injected)?;
            Ok(answer)
        }
    }
}
