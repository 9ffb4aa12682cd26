//! The wait for the pipeline to come to rest: nothing outstanding, seen twice in a row.

use std::time::Duration;

use firedrill_oracle::record::Settlement;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::system::{ObservationError, Observer, Outstanding};

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long nothing may have moved before the pipeline counts as stuck, although nobody is at work any more.
const QUIET: Duration = Duration::from_secs(3);

/// How long nothing at all may have moved before the pipeline counts as stuck, although somebody seems to be at work: who
/// has finished nothing for so long will not. Far above every pause that a topology of drills configures.
const STANDSTILL: Duration = Duration::from_secs(12);

/// How the wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// How it ended.
    pub outcome: Settlement,
    /// What was outstanding at the end, in words.
    pub outstanding: Vec<String>,
}

/// Waits until the pipeline has come to rest, is stuck, or the time is up.
///
/// Stuck means: something is outstanding, nothing that is outstanding says that somebody still works on it (no lag, no
/// unpublished row, no undecided payment), and this picture has not changed for three seconds. Where somebody seems to be at
/// work, a picture that has not changed for twelve seconds says that nothing will come of it.
///
/// # Errors
/// The system cannot be read.
pub async fn wait_for_rest(
    observer: &Observer,
    limit: Duration,
    cancel: &CancellationToken,
) -> Result<Option<Rest>, ObservationError> {
    let start = Instant::now();
    let mut last: Option<Vec<Outstanding>> = None;
    let mut unchanged_since = start;
    loop {
        let now = observer.outstanding().await?;
        tracing::debug!(outstanding = ?in_words(&now), "a look at the pipeline");
        let same = last.as_ref() == Some(&now);
        if !same {
            unchanged_since = Instant::now();
        }
        if same && now.is_empty() {
            return Ok(Some(Rest {
                outcome: Settlement::Settled,
                outstanding: Vec::new(),
            }));
        }
        let moving = now.iter().any(|item| item.moving);
        let patience = if moving { STANDSTILL } else { QUIET };
        if unchanged_since.elapsed() >= patience {
            return Ok(Some(Rest {
                outcome: Settlement::Stuck,
                outstanding: in_words(&now),
            }));
        }
        if start.elapsed() >= limit {
            return Ok(Some(Rest {
                outcome: Settlement::TimedOut,
                outstanding: in_words(&now),
            }));
        }
        last = Some(now);
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = cancel.cancelled() => return Ok(None),
        }
    }
}

fn in_words(outstanding: &[Outstanding]) -> Vec<String> {
    outstanding.iter().map(ToString::to_string).collect()
}
