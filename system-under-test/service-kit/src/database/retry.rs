//! Transactions that lost a deadlock (40P01) or a serialization conflict (40001) did nothing and may be run again.

use std::future::Future;
use std::time::Duration;

use crate::settings::Settings;

/// How often, and with which pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionRetry {
    /// Attempts in all; 1 means that nothing is tried again.
    pub attempts: u32,
    /// Pause after the first attempt; it doubles each time and varies by half.
    pub pause: Duration,
}

impl TransactionRetry {
    /// Nothing is tried again.
    pub const NONE: Self = Self {
        attempts: 1,
        pause: Duration::ZERO,
    };

    /// Reads `DATABASE_TRANSACTION_ATTEMPTS` and `DATABASE_TRANSACTION_PAUSE_MS`.
    pub fn read(settings: &mut Settings) -> Self {
        Self {
            attempts: settings.number(
                "DATABASE_TRANSACTION_ATTEMPTS",
                8,
                1..=100,
                "attempts at a transaction that loses a deadlock or a serialization conflict",
            ),
            pause: settings.duration_ms(
                "DATABASE_TRANSACTION_PAUSE_MS",
                5,
                "pause after the first of them; doubles each time and varies by half",
            ),
        }
    }
}

/// Errors that may come from the database.
pub trait SqlState {
    /// The five letters of the database's error, if it is one.
    fn sql_state(&self) -> Option<String>;
}

impl SqlState for sqlx::Error {
    fn sql_state(&self) -> Option<String> {
        self.as_database_error()
            .and_then(|error| error.code())
            .map(|code| code.into_owned())
    }
}

/// Runs a transaction, again if it lost a conflict, up to the bound.
///
/// # Errors
/// The last attempt's error, or the first that is not a conflict.
pub async fn with_retries<T, E, F, Fut>(retry: TransactionRetry, mut transaction: F) -> Result<T, E>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: SqlState + std::fmt::Display,
{
    let mut attempt = 1;
    loop {
        let error = match transaction().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let state = error.sql_state();
        let conflict = matches!(state.as_deref(), Some("40P01" | "40001"));
        if !conflict || attempt >= retry.attempts {
            return Err(error);
        }
        tracing::info!(
            attempt,
            state,
            "a transaction lost a conflict and is run again"
        );
        tokio::time::sleep(pause_before(attempt, retry.pause)).await;
        attempt += 1;
    }
}

/// The pause after the given attempt, counted from 1: doubled each time up to 64-fold, between half of it and all of it.
fn pause_before(attempt: u32, first: Duration) -> Duration {
    let full = first.saturating_mul(1 << (attempt - 1).min(6));
    full.mul_f64(0.5 + crate::jitter::share() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Lost(&'static str);

    impl SqlState for Lost {
        fn sql_state(&self) -> Option<String> {
            Some(self.0.to_owned())
        }
    }

    async fn attempts(state: &'static str, lost: u32) -> (u32, bool) {
        let retry = TransactionRetry {
            attempts: 3,
            pause: Duration::from_millis(1),
        };
        let mut count = 0;
        let outcome = with_retries(retry, || {
            count += 1;
            let outcome = if count <= lost {
                Err(Lost(state))
            } else {
                Ok(())
            };
            async move { outcome }
        })
        .await;
        (count, outcome.is_ok())
    }

    #[tokio::test]
    async fn conflicts_are_tried_again_up_to_the_bound_and_nothing_else_is() {
        assert_eq!(attempts("40P01", 1).await, (2, true));
        assert_eq!(attempts("40001", 2).await, (3, true));
        assert_eq!(attempts("40P01", 9).await, (3, false));
        assert_eq!(attempts("23505", 1).await, (1, false));
    }
}
