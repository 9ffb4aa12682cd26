//! The public API: `POST /token`, the key set, and the description of both that OpenID Connect asks for.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use crate::desk::Wish;
use crate::identity_provider::domain::{Ask, Claims, Invalid, TokenRequest};
use crate::identity_provider::store::StoreError;
use crate::identity_provider::{AFTER_ISSUING, Provider, password};
use crate::problem::Problem;

/// Largest body of a request, in bytes.
const BODY_LIMIT: usize = 4 * 1024;

/// Router of the public API.
pub fn router(provider: Provider) -> Router {
    Router::new()
        .route("/token", post(token))
        .route("/.well-known/jwks.json", get(keys))
        .route("/.well-known/openid-configuration", get(configuration))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(provider)
}

async fn token(State(provider): State<Provider>, body: Bytes) -> Result<Response, Problem> {
    let request = TokenRequest::parse(&body)?;
    provider.serve(Wanted::Token(request)).await
}

async fn keys(State(provider): State<Provider>) -> Result<Response, Problem> {
    provider.serve(Wanted::Keys).await
}

async fn configuration(
    State(provider): State<Provider>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // HTTP/2 has the name in its address, HTTP/1 in a header.
    let host = uri.authority().map(|authority| authority.as_str());
    let host = host
        .or_else(|| headers.get(header::HOST)?.to_str().ok())
        .ok_or_else(|| Problem::invalid("a request must say its Host"))?;
    provider.serve(Wanted::Configuration(host.to_owned())).await
}

/// What somebody wants.
enum Wanted {
    Token(TokenRequest),
    Keys,
    /// Under the name by which the provider was reached.
    Configuration(String),
}

/// What somebody wants, of whom.
struct Request {
    provider: Provider,
    wanted: Wanted,
}

impl Provider {
    async fn serve(self, wanted: Wanted) -> Result<Response, Problem> {
        let desk = self.desk.clone();
        let request = Request {
            provider: self,
            wanted,
        };
        let kind = request.kind().as_str().to_owned();
        request
            .provider
            .asked
            .get_or_create(&vec![("kind", kind)])
            .inc();
        desk.serve(request).await
    }

    /// A token for a customer who knows the password. Whoever comes first under a name chooses its password.
    async fn issue(&self, request: &TokenRequest) -> Result<Response, Problem> {
        if !self.knows(request).await? {
            return Err(wrong_password());
        }
        let claims = Claims::new(&self.tokens, &request.customer_id, now_s());
        let token = self
            .store
            .signing_key(true)
            .await?
            .sign(&claims)
            .map_err(StoreError::from)?;
        let body = json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.tokens.lifetime_s,
        });
        // RFC 6749, section 5.1: tokens are not for caches.
        Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
    }

    async fn knows(&self, request: &TokenRequest) -> Result<bool, Problem> {
        let rounds = self.tokens.hash_rounds;
        let given = request.password.clone();
        let customer = &request.customer_id;
        let mut kept = self.store.password(customer).await?;
        if kept.is_none() {
            let new = blocking(move || password::keep(&given, rounds))
                .await?
                .ok_or_else(|| Problem::injected("the system has no randomness"))?;
            if self.store.sign_up(customer, &new).await? {
                tracing::info!(customer, "a new customer");
                return Ok(true);
            }
            // Somebody else took the name meanwhile.
            kept = self.store.password(customer).await?;
        }
        let given = request.password.clone();
        match kept {
            Some(kept) => blocking(move || password::fits(&given, &kept, rounds)).await,
            None => Ok(false),
        }
    }
}

impl Wish for Request {
    type Kind = Ask;

    const AFTER_BOOKING: &'static str = AFTER_ISSUING;

    fn kind(&self) -> Ask {
        match self.wanted {
            Wanted::Token(_) => Ask::Token,
            Wanted::Keys => Ask::Keys,
            Wanted::Configuration(_) => Ask::Configuration,
        }
    }

    async fn book(&self) -> Result<Response, Problem> {
        match &self.wanted {
            Wanted::Token(request) => self.provider.issue(request).await,
            Wanted::Keys => {
                let keys = self.provider.store.published().await?;
                let age = self.provider.tokens.keys_max_age_s;
                let cached = format!("public, max-age={age}");
                Ok(([(header::CACHE_CONTROL, cached)], Json(keys)).into_response())
            }
            Wanted::Configuration(host) => {
                let body = json!({
                    "issuer": self.provider.tokens.issuer,
                    "token_endpoint": format!("https://{host}/token"),
                    "jwks_uri": format!("https://{host}/.well-known/jwks.json"),
                    "id_token_signing_alg_values_supported": ["ES256"],
                    "response_types_supported": ["token"],
                    "subject_types_supported": ["public"],
                });
                Ok(Json(body).into_response())
            }
        }
    }

    async fn decline(&self) -> Result<Response, Problem> {
        Err(wrong_password())
    }

    fn error_in_disguise(&self) -> Response {
        let error = json!({ "code": "processing_error", "message": "nothing was issued" });
        (StatusCode::OK, Json(json!({ "error": error }))).into_response()
    }
}

fn wrong_password() -> Problem {
    let message = "the customer is known with another password";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", message)
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Storage(error) => error.into(),
            StoreError::Key(error) => {
                tracing::error!(%error, "a key cannot be used");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, "key", "the signing key cannot be used")
            }
        }
    }
}

/// Runs what takes long on purpose where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Problem::injected)
}

/// Seconds since 1970.
pub(super) fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
