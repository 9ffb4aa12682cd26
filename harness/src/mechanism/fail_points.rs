//! Fail-points of the services: moments between two effects at which a process can be killed, delayed or made to fail.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    MechanismError,
    http::{Api, segment},
};

/// The fail-points of one instance.
#[derive(Debug, Clone)]
pub struct FailPoints {
    api: Api,
}

/// What a fail-point does when it is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The process sends itself SIGKILL.
    Kill,
    /// The passing waits.
    Delay {
        /// Milliseconds.
        delay_ms: u64,
    },
    /// The passing fails.
    Error,
}

/// State of one fail-point, as its service tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailPointState {
    /// `off`, `kill`, `error` or `delay`.
    pub action: String,
    /// Milliseconds of a `delay`.
    #[serde(default)]
    pub delay_ms: u64,
    /// How often it will still act; none when unlimited.
    #[serde(default)]
    pub remaining: Option<u64>,
    /// How often it acted since the process started.
    #[serde(default)]
    pub acted: u64,
    /// How often it was passed since the process started.
    #[serde(default)]
    pub passed: u64,
}

impl FailPoints {
    /// The fail-points of the instance whose `http` port is at `address`.
    #[must_use]
    pub fn at(address: std::net::SocketAddr) -> Self {
        Self {
            api: Api::at(format!("http://{address}")),
        }
    }

    /// All fail-points with their state.
    ///
    /// # Errors
    /// The service does not answer, or fail-points are not enabled there.
    pub async fn list(&self) -> Result<BTreeMap<String, FailPointState>, MechanismError> {
        self.api
            .ask(
                "reading the fail-points",
                Method::GET,
                "/control/fail-points",
                None,
            )
            .await?
            .accepted()?
            .read()
    }

    /// Arms a fail-point and reads back that it is armed. `times` limits how often it acts.
    ///
    /// # Errors
    /// The name is unknown there, or the service does not answer or does not do as it was told.
    pub async fn arm(
        &self,
        name: &str,
        action: Action,
        times: Option<u64>,
    ) -> Result<(), MechanismError> {
        let mut body = match action {
            Action::Kill => json!({ "action": "kill" }),
            Action::Delay { delay_ms } => json!({ "action": "delay", "delay_ms": delay_ms }),
            Action::Error => json!({ "action": "error" }),
        };
        if let Some(times) = times {
            body["times"] = json!(times);
        }
        self.put(name, &body).await
    }

    /// Disarms a fail-point.
    ///
    /// # Errors
    /// The name is unknown there, or the service does not answer or does not do as it was told.
    pub async fn disarm(&self, name: &str) -> Result<(), MechanismError> {
        self.put(name, &json!({ "action": "off" })).await
    }

    async fn put(&self, name: &str, body: &Value) -> Result<(), MechanismError> {
        let doing = format!("setting the fail-point {name}");
        let path = format!("/control/fail-points/{}", segment(name));
        let answer = self.api.ask(&doing, Method::PUT, &path, Some(body)).await?;
        if answer.status == StatusCode::NOT_FOUND {
            let known = self.list().await?;
            if known.contains_key(name) {
                return Err(answer.refused());
            }
            return Err(MechanismError::unknown(
                "fail-point",
                name,
                path,
                known.into_keys().collect(),
            ));
        }
        answer.accepted()?;
        self.check(&doing, name, body).await
    }

    /// Reads back what is in force. A point that acts only a few times may have acted since and be off again.
    async fn check(&self, doing: &str, name: &str, asked: &Value) -> Result<(), MechanismError> {
        let answer = self
            .api
            .ask(doing, Method::GET, "/control/fail-points", None)
            .await;
        let answer = match answer {
            Ok(answer) => answer.accepted()?,
            // The process may already have met its end at the point: that is what was asked for.
            Err(MechanismError::Unreachable { .. }) if asked["action"] == "kill" => return Ok(()),
            Err(error) => return Err(error),
        };
        let states: BTreeMap<String, FailPointState> = answer.read()?;
        let used_up = |state: &FailPointState| asked.get("times").is_some() && state.acted > 0;
        match states.get(name) {
            Some(state) if state.action == asked["action"] || used_up(state) => Ok(()),
            _ => Err(answer.not_in_force()),
        }
    }
}
