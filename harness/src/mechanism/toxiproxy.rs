//! The proxies of the links: Toxiproxy's HTTP API, and what `faultproxy` adds to it below `/firedrill`.
//!
//! Every change is read back, because a fault that was never put in force must not look as if it was.

use std::{collections::BTreeMap, net::SocketAddr};

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    MechanismError,
    http::{Answer, Api, segment},
};

/// Where `faultproxy` tells what a proxy counted, below the proxy's path.
const COUNTERS: &str = "/counters";
/// Where `faultproxy` takes Kafka rules, below the proxy's path.
const KAFKA_RULES: &str = "/kafka-rules";

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
    /// TLS connections whose client believed what the server had shown, and went on.
    #[serde(default)]
    pub handshakes_finished: u64,
    /// TLS connections whose client answered what the server had shown with an alert.
    #[serde(default)]
    pub handshakes_refused: u64,
    /// By the toxic's name, those that were removed included.
    #[serde(default)]
    pub toxics: BTreeMap<String, ToxicCounts>,
    /// What was counted of Kafka; none where the proxy does not read it.
    #[serde(default)]
    pub kafka: Option<KafkaCounts>,
}

/// A rule of a proxy in Kafka mode: what is done to which requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KafkaRule {
    /// Unique on its proxy.
    pub name: String,
    /// The API as Kafka's documentation names it, `Produce`.
    pub api: String,
    /// Only requests that name this topic, prefix included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The share of those requests, 0.0 to 1.0.
    pub share: f64,
    /// How often it acts at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// What is done, as `faultproxy` names it.
    pub action: Value,
}

/// What one Kafka rule has really done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct KafkaRuleCounts {
    /// Requests that were hurt.
    pub acted: u64,
}

/// What a proxy in Kafka mode has counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct KafkaCounts {
    /// By the rule's name, those that were removed included.
    #[serde(default)]
    pub rules: BTreeMap<String, KafkaRuleCounts>,
}

#[derive(Debug, Deserialize)]
struct ProxyState {
    enabled: bool,
    upstream: String,
    listen: String,
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

    /// Where it accepts connections, `127.0.0.1:4711`.
    ///
    /// # Errors
    /// The proxy does not answer, is not known there, or listens at no IP address.
    pub async fn listen(&self) -> Result<SocketAddr, MechanismError> {
        let doing = format!("reading the proxy {}", self.name);
        let answer = self.ask(&doing, Method::GET, "", None).await?.accepted()?;
        let state: ProxyState = answer.read()?;
        let listen = state.listen.parse();
        listen.map_err(|error| MechanismError::failed(doing, format!("{}: {error}", state.listen)))
    }

    /// Lets it accept connections at another address and no longer at the old one; open connections are cut.
    ///
    /// # Errors
    /// The proxy does not answer, refuses, or stays where it was.
    pub async fn listen_at(&self, address: SocketAddr) -> Result<(), MechanismError> {
        let doing = format!("moving the proxy {} to {address}", self.name);
        let body = json!({ "listen": address.to_string() });
        self.ask(&doing, Method::POST, "", Some(&body))
            .await?
            .accepted()?;
        let answer = self.ask(&doing, Method::GET, "", None).await?.accepted()?;
        let state: ProxyState = answer.read()?;
        if state.enabled && state.listen == address.to_string() {
            Ok(())
        } else {
            Err(answer.not_in_force())
        }
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
        self.firedrill("reading the counters of", Method::GET, COUNTERS, None)
            .await?
            .accepted()?
            .read()
    }

    /// Puts a Kafka rule in force and reads it back.
    ///
    /// # Errors
    /// The proxy does not read Kafka frames, does not answer, refuses, or does something else than it was told.
    pub async fn add_kafka_rule(&self, rule: &KafkaRule) -> Result<(), MechanismError> {
        let doing = format!("adding the Kafka rule {} to", rule.name);
        let body = serde_json::to_value(rule)
            .map_err(|error| MechanismError::failed(doing.as_str(), error))?;
        self.firedrill(&doing, Method::POST, KAFKA_RULES, Some(&body))
            .await?
            .accepted()?;
        let answer = self
            .firedrill(&doing, Method::GET, KAFKA_RULES, None)
            .await?
            .accepted()?;
        let found: Vec<KafkaRule> = answer.read()?;
        match found.iter().find(|found| found.name == rule.name) {
            Some(found) if found.api == rule.api && found.topic == rule.topic => Ok(()),
            _ => Err(answer.not_in_force()),
        }
    }

    /// Takes a Kafka rule back; one that is not there is no error.
    ///
    /// # Errors
    /// The proxy does not answer, refuses, or keeps the rule.
    pub async fn remove_kafka_rule(&self, rule: &str) -> Result<(), MechanismError> {
        let doing = format!("removing the Kafka rule {rule} from");
        let path = format!("{KAFKA_RULES}/{}", segment(rule));
        let answer = self.firedrill(&doing, Method::DELETE, &path, None).await?;
        if answer.status != StatusCode::NOT_FOUND {
            answer.accepted()?;
        }
        let answer = self
            .firedrill(&doing, Method::GET, KAFKA_RULES, None)
            .await?
            .accepted()?;
        let left: Vec<KafkaRule> = answer.read()?;
        if left.iter().any(|found| found.name == rule) {
            return Err(answer.not_in_force());
        }
        Ok(())
    }

    /// How often a Kafka rule really hurt a request, also after it was removed.
    ///
    /// # Errors
    /// The proxy does not answer, or never had this rule.
    pub async fn kafka_rule_acted(&self, rule: &str) -> Result<u64, MechanismError> {
        let counts: KafkaCounts = self.counts().await?.kafka.unwrap_or_default();
        let rule_counts = counts.rules.get(rule).copied();
        rule_counts.map(|counts| counts.acted).ok_or_else(|| {
            MechanismError::unknown(
                "Kafka rule",
                rule,
                self.name.as_str(),
                counts.rules.into_keys().collect(),
            )
        })
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
        self.api.ask(&doing, method, &path, body).await
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
