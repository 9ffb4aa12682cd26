//! Asks every instance whether it is ready, and keeps requests from those that say no.

use std::sync::Arc;

use reqwest::StatusCode;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Upstreams;

impl Upstreams {
    /// Asks all instances again and again whether they are ready, until the process stops; at once ends when
    /// readiness-based routing is off.
    pub async fn watch_readiness(self: Arc<Self>, stop: CancellationToken) {
        let Some(interval) = self.readiness_interval else {
            return;
        };
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let asked = (0..self.addresses.len()).map(|member| self.ask_readiness(member));
            futures::future::join_all(asked).await;
        }
    }

    /// No answer says nothing about readiness: an instance that is gone or cut off is ejected for its failures.
    async fn ask_readiness(&self, member: usize) {
        let address = self.addresses[member];
        let request = self
            .http
            .get(format!("http://{address}/health/ready"))
            .timeout(self.limits.attempt);
        let Ok(answer) = request.send().await else {
            return;
        };
        let ready = answer.status() == StatusCode::OK;
        if !self.rotation().says_ready(member, ready) {
            return;
        }
        self.metrics.readiness(address, ready);
        let upstream = self.service.name();
        if ready {
            info!(upstream, %address, "an instance says that it is ready: it gets requests");
        } else {
            let said = answer.text().await.unwrap_or_default();
            let said: String = said.chars().take(SAID_SHOWN).collect();
            warn!(upstream, %address, said, "an instance says that it is not ready: it gets no requests");
        }
    }
}

/// Characters of an instance's reasons that are repeated in the log.
const SAID_SHOWN: usize = 300;
