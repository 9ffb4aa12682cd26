//! The message provider over HTTPS: one call each, and what it showed.

use anyhow::Context;
use reqwest::{Response, Url, header};
use serde::Serialize;
use service_kit::http::Connections;
use service_kit::trace::{TRACEPARENT, Trace};

use super::answer::{Sent, sent};

/// Largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024;

/// A message on its way out: the body of `POST /messages`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Outgoing<'a> {
    /// `email` or `sms`.
    pub channel: &'a str,
    /// Who gets it.
    pub recipient: &'a str,
    /// The template it was made from.
    pub template: &'a str,
    /// Subject of an e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<&'a str>,
    /// What is said.
    pub body: &'a str,
    /// The order.
    pub reference: &'a str,
    /// What is told about it.
    pub kind: &'a str,
}

/// A client of the provider's public API.
#[derive(Debug, Clone)]
pub struct Client {
    connections: Connections,
    messages: Url,
}

impl Client {
    /// A client that asks the provider at `url` over the given connections.
    ///
    /// # Errors
    /// The URL is not what it should be.
    pub fn new(url: &str, connections: Connections) -> anyhow::Result<Self> {
        let base = Url::parse(url).with_context(|| format!("PROVIDER_URL {url} is no URL"))?;
        Ok(Self {
            connections,
            messages: base
                .join("/messages")
                .context("PROVIDER_URL is no base URL")?,
        })
    }

    /// Asks once. `key` makes repetitions harmless.
    pub async fn send(&self, message: Outgoing<'_>, key: Option<&str>) -> Sent {
        let http = self.connections.client();
        let mut request = http.post(self.messages.clone()).json(&message);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(trace) = Trace::current() {
            request = request.header(TRACEPARENT, trace.child().to_string());
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Sent::Failed { why: chain(&error) },
        };
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        match read(response).await {
            Ok(body) => sent(status, retry_after.as_deref(), &body),
            Err(why) => Sent::Failed { why },
        }
    }
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

/// An error with its causes, in one line.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
