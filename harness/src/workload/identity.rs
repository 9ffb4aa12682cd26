//! Who customers are: tokens of the identity provider, kept until shortly before they expire, and forged ones.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{
    ClientError, MOST_IDLE_CONNECTIONS, Outside, chain, customers_http, read_answer,
};

/// Every customer's password; what is drilled is not how well customers choose.
pub const PASSWORD: &str = "correct horse battery staple";
/// A token is renewed when less than this part of its lifetime is left.
const RENEWED_AT: f64 = 0.2;

/// What is wrong with a forged token, in turn.
pub const FLAWS: [&str; 6] = [
    "expired",
    "wrong_audience",
    "wrong_issuer",
    "wrong_signature",
    "alg_none",
    "unknown_kid",
];

/// Gets customers their tokens.
#[derive(Debug)]
pub struct Identity {
    http: reqwest::Client,
    url: String,
    /// Where flawed tokens come from: past the proxies, as it is no part of what is drilled.
    control: Option<SocketAddr>,
    tokens: Mutex<HashMap<String, Token>>,
}

#[derive(Debug, Clone)]
struct Token {
    text: String,
    renewed_at: Instant,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: f64,
}

impl Identity {
    /// An identity provider at `url`.
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub fn new(
        url: &str,
        outside: &Outside,
        control: Option<SocketAddr>,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            http: customers_http(outside, MOST_IDLE_CONNECTIONS)?,
            url: url.trim_end_matches('/').to_owned(),
            control,
            tokens: Mutex::default(),
        })
    }

    /// The customer's token: the kept one while it is fresh enough, else a new one.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn token(&self, customer: &str) -> Result<String, String> {
        if let Some(kept) = self.kept(customer) {
            return Ok(kept);
        }
        let answer = self
            .ask(format!("{}/token", self.url), &token_body(customer))
            .await?;
        let lifetime = Duration::try_from_secs_f64(answer.expires_in * (1.0 - RENEWED_AT));
        let token = Token {
            text: answer.access_token.clone(),
            renewed_at: Instant::now() + lifetime.unwrap_or_default(),
        };
        self.locked().insert(customer.to_owned(), token);
        Ok(answer.access_token)
    }

    /// Forgets a token that was refused, unless there is a newer one.
    pub fn forget(&self, customer: &str, refused: &str) {
        let mut tokens = self.locked();
        if tokens
            .get(customer)
            .is_some_and(|token| token.text == refused)
        {
            tokens.remove(customer);
        }
    }

    /// A token in the customer's name that must not be believed.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn forged(&self, customer: &str, flaw: &str) -> Result<String, String> {
        let control = self
            .control
            .ok_or("the identity provider has no port `http` for flawed tokens")?;
        let body = json!({ "customer_id": customer, "flaw": flaw });
        let answer = self
            .ask(format!("http://{control}/control/tokens"), &body)
            .await?;
        Ok(answer.access_token)
    }

    fn kept(&self, customer: &str) -> Option<String> {
        let tokens = self.locked();
        let token = tokens.get(customer)?;
        (Instant::now() < token.renewed_at).then(|| token.text.clone())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<String, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, url: String, body: &Value) -> Result<Answer, String> {
        let response = self
            .http
            .post(url)
            .json(body)
            .send()
            .await
            .map_err(|error| chain(&error))?;
        let status = response.status();
        let body = read_answer(response).await?;
        if !status.is_success() {
            return Err(format!("the identity provider answered {status}"));
        }
        serde_json::from_slice(&body)
            .map_err(|error| format!("the identity provider's answer is no token: {error}"))
    }
}

/// What a customer sends who wants a token.
pub(super) fn token_body(customer: &str) -> Value {
    json!({ "customer_id": customer, "password": PASSWORD })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A provider in the clear that numbers its tokens; each is good for a lifetime in seconds.
    async fn numbering(lifetime_s: f64) -> Identity {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move {
            for number in 1.. {
                let (mut connection, _) = listener.accept().await.expect("a connection");
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).await;
                let body = format!(r#"{{"access_token":"t-{number}","expires_in":{lifetime_s}}}"#);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let outside = Outside {
            certificate_authority_pem: own.cert.pem(),
            patience: Duration::from_secs(5),
            name_server: None,
            verifies: true,
        };
        Identity::new(&url, &outside, None).expect("a client")
    }

    #[tokio::test]
    async fn a_token_is_kept_until_it_is_old_or_refused() {
        let lasting = numbering(300.0).await;
        assert_eq!(lasting.token("c-1").await, Ok("t-1".to_owned()));
        assert_eq!(lasting.token("c-1").await, Ok("t-1".to_owned()));
        assert_eq!(lasting.token("c-2").await, Ok("t-2".to_owned()));
        lasting.forget("c-1", "an older one");
        assert_eq!(lasting.token("c-1").await, Ok("t-1".to_owned()));
        lasting.forget("c-1", "t-1");
        assert_eq!(lasting.token("c-1").await, Ok("t-3".to_owned()));
        let fleeting = numbering(0.0).await;
        assert_eq!(fleeting.token("c-1").await, Ok("t-1".to_owned()));
        assert_eq!(fleeting.token("c-1").await, Ok("t-2".to_owned()));
    }
}
