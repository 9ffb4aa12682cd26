//! What the clients that speak HTTP share: one client without a system proxy, bounded times, checked answers.

use std::{sync::OnceLock, time::Duration};

use reqwest::{Client, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::MechanismError;

/// A control request is answered within this time or has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a refusal that are repeated in an error.
const ANSWER_SHOWN: usize = 300;

/// A tool's control API in the clear.
#[derive(Debug, Clone)]
pub(super) struct Api {
    base: String,
    client: Client,
}

impl Api {
    /// The API below `base`, `http://127.0.0.1:8474`.
    pub(super) fn at(base: impl Into<String>) -> Self {
        let base = base.into();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            client: client().clone(),
        }
    }

    /// Sends a request and reads its answer; `Ok(None)` for the statuses in `absent`.
    pub(super) async fn ask(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, MechanismError> {
        let place = format!("{}{path}", self.base);
        let unreachable = |error: reqwest::Error| MechanismError::Unreachable {
            doing: doing.to_owned(),
            place: place.clone(),
            reason: causes(&error),
        };
        let mut request = self.client.request(method, &place);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        Ok(Answer {
            doing: doing.to_owned(),
            place,
            status,
            text,
        })
    }
}

/// What a tool answered.
#[derive(Debug)]
pub(super) struct Answer {
    doing: String,
    place: String,
    pub(super) status: StatusCode,
    text: String,
}

impl Answer {
    /// Refuses everything but 2xx.
    pub(super) fn accepted(self) -> Result<Self, MechanismError> {
        if self.status.is_success() {
            Ok(self)
        } else {
            Err(self.refused())
        }
    }

    /// This answer as an error.
    pub(super) fn refused(self) -> MechanismError {
        let mut answer = self.text;
        if let Some((cut, _)) = answer.char_indices().nth(ANSWER_SHOWN) {
            answer.truncate(cut);
        }
        MechanismError::Refused {
            doing: self.doing,
            place: self.place,
            status: self.status.as_u16(),
            answer,
        }
    }

    /// The answer's body as a value.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, MechanismError> {
        serde_json::from_str(&self.text).map_err(|error| MechanismError::Failed {
            doing: self.doing.clone(),
            reason: format!(
                "the answer of {} is not what was expected: {error}",
                self.place
            ),
        })
    }

    /// What was read back differs from what was asked for.
    pub(super) fn not_in_force(&self) -> MechanismError {
        MechanismError::NotInForce {
            doing: self.doing.clone(),
            place: self.place.clone(),
            found: if self.text.trim().is_empty() {
                format!("{} without a body", self.status)
            } else {
                self.text.trim().to_owned()
            },
        }
    }
}

/// An error with its causes, as reqwest's own message names only the outermost.
fn causes(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        words = format!("{words}: {cause}");
        next = cause.source();
    }
    words
}

/// A path segment in which every reserved character is escaped (`order-service-1->postgres`).
pub(super) fn segment(name: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| patient_client(ANSWER_WITHIN))
}

/// A client for a tool that may take so long to answer.
pub(super) fn patient_client(limit: Duration) -> Client {
    // Control APIs are plain HTTP, but a client cannot be built without a TLS provider. A second one is refused: fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(limit)
        .connect_timeout(ANSWER_WITHIN)
        // Runtimes of tests end while this client lives on; a pooled connection of a dead runtime would hang.
        .pool_max_idle_per_host(0)
        .build()
        .unwrap_or_else(|error| unreachable!("a client of constants can be built: {error}"))
}
