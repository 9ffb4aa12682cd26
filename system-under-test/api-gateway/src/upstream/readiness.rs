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

    /// An instance that does not answer in time is not ready either. One that cannot be reached says nothing about its
    /// readiness: it is ejected for its failures.
    async fn ask_readiness(&self, member: usize) {
        let address = &self.addresses[member];
        let request = self
            .http
            .get(format!("http://{address}/health/ready"))
            .timeout(self.limits.readiness);
        let answer = request.send().await;
        let ready = match &answer {
            Ok(answer) => answer.status() == StatusCode::OK,
            Err(error) if error.is_timeout() && !error.is_connect() => false,
            Err(_) => return,
        };
        if !self.rotation().says_ready(member, ready) {
            return;
        }
        self.metrics.readiness(address, ready);
        let upstream = self.service.name();
        if ready {
            info!(upstream, %address, "an instance is ready: it gets requests");
        } else {
            let said = match answer {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(_) => "nothing in time".to_owned(),
            };
            let said: String = said.chars().take(SAID_SHOWN).collect();
            warn!(upstream, %address, said, "an instance is not ready: it gets no requests");
        }
    }
}

/// Characters of an instance's reasons that are repeated in the log.
const SAID_SHOWN: usize = 300;
