//! How much is taken in: while too many messages wait to be published, new orders are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use service_kit::metrics::Metrics;
use service_kit::shutdown::Shutdown;

use crate::store::{Store, StoreError};

/// From which number of waiting messages on nothing is taken in, and from which on it is again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The intake closes when so many messages wait.
    pub close_at: i64,
    /// It opens when no more than so many wait; less than `close_at`, so that it does not flap.
    pub open_at: i64,
}

impl Bounds {
    /// Whether the intake is open when so many messages wait, and it was open or not before.
    pub fn is_open(self, was_open: bool, waiting: i64) -> bool {
        if was_open {
            waiting < self.close_at
        } else {
            waiting <= self.open_at
        }
    }
}

/// Whether orders are taken in; clones share it. It is open until somebody has counted.
#[derive(Clone)]
pub struct Intake {
    is_closed: Arc<AtomicBool>,
    closed: Gauge,
}

impl Intake {
    /// An open intake that shows in the metrics when it is closed.
    pub fn new(metrics: &Metrics) -> Self {
        let help = "1 while orders are refused because too many messages wait in the outbox";
        Self {
            is_closed: Arc::default(),
            closed: metrics.gauge("intake_closed", help),
        }
    }

    /// Whether orders are taken in.
    pub fn is_open(&self) -> bool {
        !self.is_closed.load(Ordering::Relaxed)
    }

    /// Takes note of how many messages wait.
    pub fn note(&self, bounds: Bounds, waiting: i64) {
        let was_open = self.is_open();
        let is_open = bounds.is_open(was_open, waiting);
        if is_open != was_open {
            tracing::warn!(is_open, waiting, "the intake changed");
        }
        self.is_closed.store(!is_open, Ordering::Relaxed);
        self.closed.set(i64::from(!is_open));
    }

    /// Counts again and again until the shutdown. While the database is out of reach nothing changes.
    ///
    /// # Errors
    /// None; the type is what the service's tasks have.
    pub async fn watch(
        self,
        store: Store,
        bounds: Bounds,
        every: Duration,
        shutdown: Shutdown,
    ) -> Result<(), StoreError> {
        loop {
            if let Ok(waiting) = store.unpublished(bounds.close_at).await {
                self.note(bounds, waiting);
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = shutdown.begun() => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        close_at: 100,
        open_at: 40,
    };

    proptest! {
        /// Above the upper bound it is always closed, below the lower one always open, and between them it stays as it is.
        #[test]
        fn between_the_bounds_nothing_changes(waiting in 0..200_i64, was_open: bool) {
            let is_open = BOUNDS.is_open(was_open, waiting);
            match waiting {
                0..=40 => prop_assert!(is_open),
                41..100 => prop_assert_eq!(is_open, was_open),
                _ => prop_assert!(!is_open),
            }
        }
    }
}
