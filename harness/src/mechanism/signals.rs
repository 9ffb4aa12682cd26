//! Signals to the processes of the system, sent and witnessed through the testbed.

use std::{sync::Arc, time::Duration};

use super::http::Api;
use crate::testbed::{Exit, Pipeline, Signal, TestbedError};

/// A process that was killed is gone within this time, or something is wrong with the testbed.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Sends a signal that ends an instance, and returns how it ended.
///
/// # Errors
/// The testbed knows no such instance, it is not running, or it does not end.
pub async fn end(
    pipeline: &Arc<dyn Pipeline>,
    instance: &str,
    signal: Signal,
    within: Duration,
) -> Result<Exit, TestbedError> {
    let seen = pipeline.exits(instance).len();
    pipeline.signal(instance, signal).await?;
    tokio::time::timeout(
        within.max(GONE_WITHIN),
        pipeline.wait_for_exit(instance, seen),
    )
    .await
    .map_err(|_| TestbedError::Failed {
        doing: format!("ending {instance}"),
        reason: format!(
            "it still runs {} s after the signal; look at its log",
            within.max(GONE_WITHIN).as_secs()
        ),
    })
}

/// Starts an instance that has ended and waits until it is ready.
///
/// # Errors
/// It does not start, or is not ready in time.
pub async fn revive(
    pipeline: &Arc<dyn Pipeline>,
    instance: &str,
    ready_within: Duration,
) -> Result<(), TestbedError> {
    pipeline.start_again(instance).await?;
    pipeline.ready(instance, ready_within).await
}

/// Asks a process whether it runs at all: a frozen one still accepts connections, but answers nothing.
#[derive(Debug, Clone)]
pub struct Probe {
    api: Api,
}

impl Probe {
    /// A probe of the process that speaks HTTP at `address`.
    #[must_use]
    pub fn at(address: std::net::SocketAddr) -> Self {
        Self {
            api: Api::at(format!("http://{address}")),
        }
    }

    /// Whether it answers in time, whatever it answers.
    pub async fn answers(&self, within: Duration) -> bool {
        let question = self.api.ask("probing", reqwest::Method::GET, "/", None);
        matches!(tokio::time::timeout(within, question).await, Ok(Ok(_)))
    }
}
