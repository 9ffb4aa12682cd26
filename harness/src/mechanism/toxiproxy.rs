//! The proxies of the links: Toxiproxy's HTTP API, and what `faultproxy` adds to it below `/firedrill`.
//!
//! Every change is read back, because a fault that was never put in force must not look as if it was.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    MechanismError,
    http::{Answer, Api, segment},
};

/// One proxy at a Toxiproxy-like API.
#[derive(Debug, Clone)]
pub struct ProxyControl {
    api: Api,
    name: String,
}

/// The direction that data flows in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// From the client to the server.
    Upstream,
    /// From the server to the client.
    Downstream,
}

/// A toxic: what happens to the data of one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Toxic {
    /// Unique on its proxy.
    pub name: String,
    /// `latency`, `timeout`, `reset_peer`, `limit_data`, `lose_answer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The direction it acts on.
    pub stream: Stream,
    /// The share of connections that it acts on, 0.0 to 1.0.
    pub toxicity: f64,
    /// Its parameters, as Toxiproxy names them.
    pub attributes: BTreeMap<String, Value>,
}

/// What one toxic has really done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct ToxicCounts {
    /// How often it acted.
    pub acted: u64,
    /// Pieces of data delivered late.
    #[serde(default)]
    pub delayed: u64,
    /// Bytes that were swallowed.
    #[serde(default)]
    pub discarded_bytes: u64,
    /// Connections it cut.
    #[serde(default)]
    pub connections_cut: u64,
    /// Connections on which an answer was lost after a request had gone through to the server.
    #[serde(default)]
    pub answers_lost: u64,
}

/// What a proxy has counted since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ProxyCounts {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections reset because the server could not be reached.
    #[serde(default)]
    pub upstream_failures: u64,
    /// Open connections that were cut when the proxy was disabled.
    #[serde(default)]
    pub cut_by_down: u64,
    /// By the toxic's name, those that were removed included.
    #[serde(default)]
    pub toxics: BTreeMap<String, ToxicCounts>,
}

#[derive(Debug, Deserialize)]
struct ProxyState {
    enabled: bool,
    upstream: String,
}

impl ProxyControl {
    /// The proxy `name` at the API below `api_url`.
    #[must_use]
    pub fn at(api_url: &str, name: &str) -> Self {
        Self {
            api: Api::at(api_url),
            name: name.to_owned(),
        }
    }

    /// The proxy's name, `order-service-1->postgres`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server behind it, `127.0.0.1:5432`.
    ///
    /// # Errors
    /// The proxy does not answer, or is not known there.
    pub async fn upstream(&self) -> Result<String, MechanismError> {
        let doing = format!("reading the proxy {}", self.name);
        let answer = self.ask(&doing, Method::GET, "", None).await?.accepted()?;
        answer.read().map(|state: ProxyState| state.upstream)
    }

    /// Puts a toxic in force and reads it back.
    ///
    /// # Errors
    /// The proxy does not answer, refuses, or does something else than it was told.
    pub async fn add_toxic(&self, toxic: &Toxic) -> Result<(), MechanismError> {
        let doing = format!("adding the toxic {} to {}", toxic.name, self.name);
        let body = serde_json::to_value(toxic)
            .map_err(|error| MechanismError::failed(doing.as_str(), error))?;
        self.ask(&doing, Method::POST, "/toxics", Some(&body))
            .await?
            .accepted()?;
        let path = format!("/toxics/{}", segment(&toxic.name));
        let answer = self
            .ask(&doing, Method::GET, &path, None)
            .await?
            .accepted()?;
        let found: Toxic = answer.read()?;
        let same = found.kind == toxic.kind
            && found.stream == toxic.stream
            && (found.toxicity - toxic.toxicity).abs() < 1e-6
            && toxic
                .attributes
                .iter()
                .all(|(name, value)| found.attributes.get(name) == Some(value));
        if same {
            Ok(())
        } else {
            Err(answer.not_in_force())
        }
    }

    /// Takes a toxic back; one that is not there is no error.
    ///
    /// # Errors
    /// The proxy does not answer, refuses, or keeps the toxic.
    pub async fn remove_toxic(&self, toxic: &str) -> Result<(), MechanismError> {
        let doing = format!("removing the toxic {toxic} from {}", self.name);
        let path = format!("/toxics/{}", segment(toxic));
        let answer = self.ask(&doing, Method::DELETE, &path, None).await?;
        if answer.status != StatusCode::NOT_FOUND {
            answer.accepted()?;
        }
        self.absent(self.ask(&doing, Method::GET, &path, None).await?)
    }

    /// Opens or closes the proxy; closed, it accepts no connection and drops those it had.
    ///
    /// # Errors
    /// The proxy does not answer, refuses, or stays as it was.
    pub async fn set_enabled(&self, enabled: bool) -> Result<(), MechanismError> {
        let doing = format!(
            "{} the proxy {}",
            if enabled { "opening" } else { "closing" },
            self.name
        );
        let body = json!({ "enabled": enabled });
        self.ask(&doing, Method::POST, "", Some(&body))
            .await?
            .accepted()?;
        let answer = self.ask(&doing, Method::GET, "", None).await?.accepted()?;
        let state: ProxyState = answer.read()?;
        if state.enabled == enabled {
            Ok(())
        } else {
            Err(answer.not_in_force())
        }
    }

    /// What the proxy and its toxics have counted.
    ///
    /// # Errors
    /// The proxy does not answer, or does not count (Shopify's Toxiproxy does not).
    pub async fn counts(&self) -> Result<ProxyCounts, MechanismError> {
        self.firedrill("reading the counters of", Method::GET, "/counters", None)
            .await?
            .read()
    }

    async fn firedrill(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, MechanismError> {
        let doing = format!("{doing} {}", self.name);
        let path = format!("/firedrill/proxies/{}{path}", segment(&self.name));
        self.api.ask(&doing, method, &path, body).await?.accepted()
    }

    async fn ask(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, MechanismError> {
        let path = format!("/proxies/{}{path}", segment(&self.name));
        self.api.ask(doing, method, &path, body).await
    }

    fn absent(&self, answer: Answer) -> Result<(), MechanismError> {
        if answer.status == StatusCode::NOT_FOUND {
            Ok(())
        } else {
            Err(answer.not_in_force())
        }
    }
}
