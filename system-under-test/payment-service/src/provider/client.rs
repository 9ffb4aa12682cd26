//! The provider over HTTPS: one call each, and what it showed.

use std::path::Path;

use anyhow::Context;
use reqwest::{Response, StatusCode, Url, header};
use serde_json::{Value, json};
use service_kit::http::Connections;
use service_kit::trace::{TRACEPARENT, Trace};
use uuid::Uuid;

use super::answer;
use crate::domain::{Attempted, Kind, LookedUp};

/// Largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The version of the provider's API that this build speaks.
const VERSION: &str = "1";

/// Where a request says which version it means, and an answer in which it is.
const VERSION_HEADER: &str = "provider-version";

/// How the provider is reached.
#[derive(Debug, Clone)]
pub struct ProviderAddress {
    /// Its base URL; HTTPS.
    pub url: Url,
    /// Certificates that are trusted, in PEM; no others are.
    pub ca_pem: Vec<u8>,
}

impl ProviderAddress {
    /// The address of a URL, with the trusted certificates of a file.
    ///
    /// # Errors
    /// The URL is none, or the file cannot be read.
    pub fn read(url: &str, ca_file: &Path) -> anyhow::Result<Self> {
        let url = Url::parse(url).with_context(|| format!("PROVIDER_URL {url} is no URL"))?;
        let ca_pem = std::fs::read(ca_file)
            .with_context(|| format!("CA_FILE {} cannot be read", ca_file.display()))?;
        Ok(Self { url, ca_pem })
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Take money.
    Charge {
        /// The order; the provider's reference.
        order_id: Uuid,
        /// Minor units of the currency.
        amount_minor: i64,
        /// ISO 4217 code.
        currency: String,
    },
    /// Give money back.
    Refund {
        /// The provider's name for the charge.
        charge_id: String,
        /// Minor units of the charge's currency.
        amount_minor: i64,
    },
}

impl Order {
    /// Charge or refund.
    pub fn kind(&self) -> Kind {
        match self {
            Order::Charge { .. } => Kind::Charge,
            Order::Refund { .. } => Kind::Refund,
        }
    }

    fn amount_minor(&self) -> i64 {
        match self {
            Order::Charge { amount_minor, .. } | Order::Refund { amount_minor, .. } => {
                *amount_minor
            }
        }
    }

    fn body(&self) -> Value {
        match self {
            Order::Charge {
                order_id,
                amount_minor,
                currency,
            } => json!({
                "reference": order_id, "amount_minor": amount_minor, "currency": currency,
            }),
            Order::Refund {
                charge_id,
                amount_minor,
            } => json!({
                "charge_id": charge_id, "amount_minor": amount_minor,
            }),
        }
    }
}

/// What a client believes only after it has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// A success says what was booked; otherwise every 2xx is taken for a booking.
    pub body: bool,
    /// The provider is told the version of its API that is meant, and answers in it; otherwise it chooses.
    pub version: bool,
}

/// A client of the provider's public API.
#[derive(Debug, Clone)]
pub struct ProviderClient {
    connections: Connections,
    charges: Url,
    refunds: Url,
    checks: Checks,
}

impl ProviderClient {
    /// A client that asks over the given connections.
    ///
    /// # Errors
    /// The URL is no base of others.
    pub fn new(url: &Url, connections: Connections, checks: Checks) -> anyhow::Result<Self> {
        let joined = |path| url.join(path).context("PROVIDER_URL is no base URL");
        Ok(Self {
            connections,
            charges: joined("/charges")?,
            refunds: joined("/refunds")?,
            checks,
        })
    }

    /// Asks once. `key` makes repetitions harmless.
    pub async fn attempt(&self, order: &Order, key: Option<&str>) -> Attempted {
        let mut request = self
            .connections
            .client()
            .post(self.url(order.kind()).clone())
            .json(&order.body());
        if self.checks.version {
            request = request.header(VERSION_HEADER, VERSION);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(trace) = Trace::current() {
            request = request.header(TRACEPARENT, trace.child().to_string());
        }
        let response = match request.send().await {
            Ok(response) => response,
            // Without a connection (or a handshake) the request itself was never sent.
            Err(error) if error.is_connect() || error.is_builder() => {
                return Attempted::NotBooked {
                    why: chain(&error),
                    retry_after: None,
                };
            }
            Err(error) => return Attempted::Unknown { why: chain(&error) },
        };
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let status = response.status();
        let version = version_of(&response);
        match read(response).await {
            Ok(_) if self.checks.version && status == StatusCode::GONE => Attempted::Retired {
                why: format!(
                    "version {VERSION} of its API is retired: this service needs an upgrade"
                ),
            },
            Ok(_) if self.checks.version && status.is_success() && version != VERSION => {
                Attempted::Unknown {
                    why: format!("asked in version {VERSION}, answered in version `{version}`"),
                }
            }
            Ok(body) => answer::attempted(
                order.kind(),
                order.amount_minor(),
                status,
                retry_after.as_deref(),
                &body,
                self.checks.body,
            ),
            Err(why) => Attempted::Unknown { why },
        }
    }

    /// Asks what was booked under a key.
    pub async fn look_up(&self, kind: Kind, key: &str) -> LookedUp {
        let mut url = self.url(kind).clone();
        url.query_pairs_mut().append_pair("idempotency_key", key);
        let asked: Result<(StatusCode, Vec<u8>), String> = async {
            let response = self
                .connections
                .client()
                .get(url)
                .send()
                .await
                .map_err(|error| chain(&error))?;
            let status = response.status();
            Ok((status, read(response).await?))
        }
        .await;
        match asked {
            Ok((status, body)) => answer::looked_up(kind, status, &body),
            Err(why) => LookedUp::Unanswered { why },
        }
    }

    fn url(&self, kind: Kind) -> &Url {
        match kind {
            Kind::Charge => &self.charges,
            Kind::Refund => &self.refunds,
        }
    }
}

/// The version in which the provider answered; empty when it does not say.
fn version_of(response: &Response) -> String {
    let said = response.headers().get(VERSION_HEADER);
    let said = said.and_then(|value| value.to_str().ok());
    said.unwrap_or_default().to_owned()
}

async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(format!("an answer of more than {ANSWER_LIMIT} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error with its causes, in one line and without the URL (it holds the key).
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::from(if error.is_timeout() {
        "timed out"
    } else {
        "no answer"
    });
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
