//! The time that a caller still has, from the header `X-Deadline-Ms`.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::request::Parts;
use tokio::time::Instant;

use super::error::ApiError;

/// Name of the header: milliseconds that are left when the request is sent.
pub const DEADLINE_HEADER: &str = "x-deadline-ms";

/// When the caller stops waiting, if it said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    at: Option<Instant>,
}

impl Deadline {
    /// The caller waits for ever.
    pub fn none() -> Self {
        Self { at: None }
    }

    /// The caller waits for this long from now.
    pub fn within(limit: Duration) -> Self {
        Self {
            at: Instant::now().checked_add(limit),
        }
    }

    /// Reads the header; a value that is no whole number is ignored, as a proxy's mistake must not refuse orders.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = headers
            .get(DEADLINE_HEADER)
            .and_then(|value| value.to_str().ok());
        text.and_then(|text| text.trim().parse().ok())
            .map_or(Self::none(), |ms| Self::within(Duration::from_millis(ms)))
    }

    /// The earlier of this deadline and `limit` from now.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        let limited = Self::within(limit);
        match (self.at, limited.at) {
            (Some(own), Some(other)) => Self {
                at: Some(own.min(other)),
            },
            (own, other) => Self { at: own.or(other) },
        }
    }

    /// What is left; none when the caller waits for ever.
    pub fn remaining(&self) -> Option<Duration> {
        self.at
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_over(&self) -> bool {
        self.remaining()
            .is_some_and(|remaining| remaining.is_zero())
    }

    /// Refuses work that nobody waits for.
    ///
    /// # Errors
    /// 503 `deadline_over`: certainly nothing was done.
    pub fn refuse_if_over(&self) -> Result<(), ApiError> {
        if self.is_over() {
            let message = "the caller's deadline was over before any work began";
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "deadline_over",
                message,
            ));
        }
        Ok(())
    }

    /// Runs work until the deadline.
    ///
    /// # Errors
    /// 504 `deadline_exceeded`: the work was dropped underway, its effect is unknown.
    pub async fn bound<F: Future>(&self, work: F) -> Result<F::Output, ApiError> {
        let Some(at) = self.at else {
            return Ok(work.await);
        };
        tokio::time::timeout_at(at, work).await.map_err(|_| {
            let message = "the deadline passed while the work was under way; whether it had an effect is unknown";
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", message)
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Deadline {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Deadline {
        let mut headers = HeaderMap::new();
        headers.insert(DEADLINE_HEADER, text.parse().expect("a header value"));
        Deadline::from_headers(&headers)
    }

    #[tokio::test]
    async fn a_deadline_is_read_lowered_and_enforced() {
        assert!(of("0").refuse_if_over().is_err());
        assert!(of("60000").refuse_if_over().is_ok());
        assert_eq!(of("soon"), Deadline::none());
        let lowered = of("60000").at_most(Duration::from_millis(5));
        assert!(
            lowered
                .remaining()
                .is_some_and(|left| left <= Duration::from_millis(5))
        );
        let late = lowered
            .bound(std::future::pending::<()>())
            .await
            .expect_err("never ends");
        assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(Deadline::none().bound(async { 1 }).await, Ok(1));
    }
}
