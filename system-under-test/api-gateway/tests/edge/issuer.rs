//! A stand-in for the identity provider: it signs tokens, publishes its keys over HTTPS, rotates them, and goes away.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use service_kit::http::TlsFiles;
use service_kit::service::Service;
use service_kit::token::{KeySet, SigningKey};

use crate::gateway::Files;

pub(crate) const ISSUER: &str = "https://identity.example";
pub(crate) const AUDIENCE: &str = "https://api.example";

struct Keys {
    signing: SigningKey,
    published: KeySet,
    fetches: usize,
    well: bool,
}

/// A running stand-in; stops when it is dropped.
pub(crate) struct Issuer {
    pub(crate) address: SocketAddr,
    keys: Arc<Mutex<Keys>>,
    service: Service,
}

impl Issuer {
    pub(crate) async fn start(files: &Files) -> Self {
        let signing = new_key("k-1");
        let published = KeySet {
            keys: vec![signing.jwk()],
        };
        let keys = Arc::new(Mutex::new(Keys {
            signing,
            published,
            fetches: 0,
            well: true,
        }));
        let router = Router::new()
            .route("/.well-known/jwks.json", get(publish))
            .with_state(keys.clone());
        let (certificate, key) = (files.path("cert.pem"), files.path("key.pem"));
        let values = [
            ("LISTEN_PUBLIC", "127.0.0.1:0"),
            ("CERTIFICATE_FILE", certificate.as_str()),
            ("PRIVATE_KEY_FILE", key.as_str()),
        ];
        let public = OnceLock::new();
        let start = async |files: TlsFiles, service: Service| {
            let address = service.serve_tls(&files, router).await?;
            public
                .set(address)
                .map_err(|_| anyhow::anyhow!("started twice"))
        };
        let service = service_testing::start("issuer", &values, TlsFiles::read, start).await;
        Self {
            address: *public.get().expect("started"),
            keys,
            service,
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().expect("not poisoned")
    }

    /// A good token of a customer.
    pub(crate) fn token(&self, customer: &str) -> String {
        self.sign(&claims(customer))
    }

    /// A token with these claims and a good signature.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.keys().signing.sign(claims).expect("signed")
    }

    /// Signs with a new key from now on; publishes the old one too if it is `kept`.
    pub(crate) fn rotate(&self, kid: &str, kept: bool) {
        let mut keys = self.keys();
        keys.signing = new_key(kid);
        let jwk = keys.signing.jwk();
        if !kept {
            keys.published.keys.clear();
        }
        keys.published.keys.push(jwk);
    }

    /// Whether it answers with its keys, or that it is unavailable.
    pub(crate) fn set_well(&self, well: bool) {
        self.keys().well = well;
    }

    /// How often its keys were asked for.
    pub(crate) fn fetches(&self) -> usize {
        self.keys().fetches
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.service.shutdown.begin();
    }
}

async fn publish(State(keys): State<Arc<Mutex<Keys>>>) -> Response {
    let mut keys = keys.lock().expect("not poisoned");
    keys.fetches += 1;
    if keys.well {
        Json(keys.published.clone()).into_response()
    } else {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}

pub(crate) fn new_key(kid: &str) -> SigningKey {
    let pkcs8 = SigningKey::generate_pkcs8().expect("a key");
    SigningKey::from_pkcs8(kid, &pkcs8).expect("a key")
}

/// What a good token of a customer says.
pub(crate) fn claims(customer: &str) -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": customer, "iat": now, "exp": now + 60 })
}
