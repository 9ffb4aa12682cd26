//! Offsets of finished work, committed together: while one commit is under way the next gathers.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::assignment::{Assignment, Partition, places};
use super::group::GroupContext;

/// Pause after a commit that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Commits what is done.
pub(super) struct Committer {
    pub(super) consumer: Arc<StreamConsumer<GroupContext>>,
    pub(super) assignment: Arc<Assignment>,
    /// Told whenever a message is done.
    pub(super) due: Arc<Notify>,
}

impl Committer {
    /// Commits until `stop`, then once more what is left.
    pub(super) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.due.notified() => {}
                () = stop.cancelled() => break,
            }
            while !self.commit_due().await && !stop.is_cancelled() {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
        let all = self.commit_due().await;
        tracing::debug!(all, "last commit");
    }

    /// Commits everything that is due now; false when that failed and should be tried again.
    async fn commit_due(&self) -> bool {
        let due = self.assignment.due();
        commit(&self.consumer, due)
            .await
            .inspect_err(|error| tracing::info!(%error, "offsets were not committed"))
            .is_ok()
    }
}

/// Commits offsets and waits for the broker's answer.
///
/// # Errors
/// The broker refused, or could not be asked.
pub(super) async fn commit(
    consumer: &Arc<StreamConsumer<GroupContext>>,
    due: Vec<(Arc<Partition>, i64)>,
) -> Result<(), KafkaError> {
    if due.is_empty() {
        return Ok(());
    }
    let client = consumer.clone();
    let offsets = places(&due);
    let committed =
        tokio::task::spawn_blocking(move || client.commit(&offsets, CommitMode::Sync)).await;
    match committed {
        Ok(outcome) => outcome?,
        // The blocking task is cancelled only when the runtime goes down.
        Err(_) => return Err(KafkaError::Canceled),
    }
    for (partition, offset) in due {
        partition.mark_committed(offset);
    }
    Ok(())
}
