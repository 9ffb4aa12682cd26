//! One attempt of a customer over HTTPS, as a browser or an app would make it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, pem, pem::PemObject},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    generator::Intent,
    names::CustomersNames,
    outcome::{Seen, ShownOrder},
};
use crate::mechanism::tls::Credulous;

/// How customers reach the system from outside.
#[derive(Debug, Clone)]
pub struct Outside {
    /// The only certificate authority that they trust, PEM.
    pub certificate_authority_pem: String,
    /// How long they wait before they give a request up.
    pub patience: Duration,
    /// Whom they ask where names are, over UDP and TCP; this machine's own resolver where nobody is named.
    pub name_server: Option<SocketAddr>,
    /// Whether they verify who answers; if not, they believe whoever holds the key of the certificate that is shown.
    pub verifies: bool,
}

/// Places orders at the system's entry.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Keeps no connection, as each customer who comes has to make one.
    newcomers_http: reqwest::Client,
    entry_url: String,
}

/// The customers' HTTP client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificate of the authority that they trust is no PEM.
    #[error("the authority that customers trust cannot be read: {0}")]
    Authority(#[from] pem::Error),
    /// The TLS library refuses what they trust.
    #[error("customers cannot speak TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP library refuses its settings.
    #[error("the customers' HTTP client could not be made: {0}")]
    Http(#[from] reqwest::Error),
    /// Nobody can be asked where names are.
    #[error("customers cannot look names up: {0}")]
    Names(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Connections that customers keep for the next request.
pub(super) const MOST_IDLE_CONNECTIONS: usize = 256;
/// Longest answer a customer reads, in bytes.
const LONGEST_ANSWER_BYTES: usize = 256 * 1024;

/// What is answered to somebody who asks about an order that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The order, where the answer is a success and shows it.
    pub shown: Option<ShownOrder>,
}

#[derive(Deserialize)]
struct Answer {
    order_id: Option<String>,
    error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<String>,
}

impl Client {
    /// A client for customers who come from outside.
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub fn new(entry_url: &str, outside: &Outside) -> Result<Self, ClientError> {
        Ok(Self {
            http: customers_http(outside, MOST_IDLE_CONNECTIONS)?,
            newcomers_http: customers_http(outside, 0)?,
            entry_url: entry_url.trim_end_matches('/').to_owned(),
        })
    }

    /// Asks once to give an order up. What becomes of that shows in the order; a customer who gets no answer leaves it be.
    pub async fn cancel_order(
        &self,
        order_id: &str,
        customer: &str,
        token: Option<&str>,
    ) -> Option<OrderAnswer> {
        let url = format!("{}/orders/{order_id}/cancel", self.entry_url);
        about_order(self.http.post(url), customer, token).await
    }

    /// Looks once at an order of which the customer has seen a version; none when no answer comes.
    pub async fn look_at_order(
        &self,
        order_id: &str,
        seen: Option<i64>,
        customer: &str,
        token: Option<&str>,
    ) -> Option<OrderAnswer> {
        let seen = seen.map_or_else(String::new, |version| format!("?seen={version}"));
        let url = format!("{}/orders/{order_id}{seen}", self.entry_url);
        about_order(self.http.get(url), customer, token).await
    }

    /// The same for customers of whom each is new: none finds a connection that another has made.
    #[must_use]
    pub fn for_newcomers(self) -> Self {
        Self {
            http: self.newcomers_http.clone(),
            ..self
        }
    }

    /// Tries once to place the order, with a note of so many characters, and with a token where one is needed. Also how the
    /// answer shows the order.
    pub async fn place_order(
        &self,
        intent: &Intent,
        note_characters: usize,
        token: Option<&str>,
    ) -> (Seen, Option<ShownOrder>) {
        let mut body = order_body(intent);
        if note_characters > 0 {
            body["note"] = "n".repeat(note_characters).into();
        }
        let mut request = self
            .http
            .post(format!("{}/orders", self.entry_url))
            .header("x-client-id", &intent.customer)
            .json(&body);
        if let Some(key) = &intent.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => {
                let reason = chain(&error);
                return (Seen::NotSent { reason }, None);
            }
            Err(error) => {
                let reason = chain(&error);
                return (Seen::NoAnswer { reason }, None);
            }
        };
        let status = response.status().as_u16();
        match read_answer(response).await {
            Ok(body) => {
                let answer = serde_json::from_slice::<Answer>(&body).ok();
                let (order_id, code) = match answer {
                    Some(answer) => (answer.order_id, answer.error.and_then(|error| error.code)),
                    None => (None, None),
                };
                let seen = Seen::Answer {
                    status,
                    order_id,
                    code,
                };
                (seen, ShownOrder::read(&body))
            }
            Err(reason) => (Seen::NoAnswer { reason }, None),
        }
    }
}

/// Sends what somebody asks about an order; none when no whole answer comes.
async fn about_order(
    request: reqwest::RequestBuilder,
    customer: &str,
    token: Option<&str>,
) -> Option<OrderAnswer> {
    let mut request = request.header("x-client-id", customer);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = async {
        let response = request.send().await.map_err(|error| chain(&error))?;
        let status = response.status();
        let body = read_answer(response).await?;
        Ok::<_, String>((status, body))
    };
    match answer.await {
        Ok((status, body)) => Some(OrderAnswer {
            status: status.as_u16(),
            shown: ShownOrder::read(&body).filter(|_| status.is_success()),
        }),
        Err(error) => {
            tracing::debug!(
                customer,
                error,
                "no answer to what was asked about an order"
            );
            None
        }
    }
}

/// How customers speak HTTPS, keeping at most so many connections for the next request.
pub(super) fn customers_http(
    outside: &Outside,
    idle_connections: usize,
) -> Result<reqwest::Client, ClientError> {
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_slice(
        outside.certificate_authority_pem.as_bytes(),
    )?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let tls = if outside.verifies {
        tls.with_root_certificates(trusted)
    } else {
        tls.dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
    };
    let mut tls = tls.with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Customers are many: nobody has another one's session, and a session that is resumed shows no certificate.
    tls.resumption = Resumption::disabled();
    let mut http = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(outside.patience)
        .timeout(outside.patience)
        .pool_max_idle_per_host(idle_connections)
        .pool_idle_timeout(Duration::from_secs(10));
    if let Some(name_server) = outside.name_server {
        http = http.dns_resolver(CustomersNames::asking(name_server, outside.patience)?);
    }
    Ok(http.build()?)
}

/// What a customer sends.
pub(super) fn order_body(intent: &Intent) -> serde_json::Value {
    json!({
        "reference": intent.reference,
        "customer_id": intent.customer,
        "lines": intent.lines,
        "amount_minor": intent.amount_minor,
        "currency": intent.currency,
    })
}

/// Reads an answer's body, within a limit.
pub(super) async fn read_answer(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        if body.len() + chunk.len() > LONGEST_ANSWER_BYTES {
            return Err(format!(
                "an answer of more than {LONGEST_ANSWER_BYTES} bytes"
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error with its causes, innermost last, without saying anything twice.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}
