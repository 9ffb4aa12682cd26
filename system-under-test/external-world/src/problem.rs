//! Refusals and failures of the public and control APIs, and the one place where they become answers.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::idempotency_key::InvalidKey;

/// A refusal or a failure.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    body: Value,
    retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem with a code for programs and a message for people.
    pub fn new(status: StatusCode, code: &str, message: impl ToString) -> Self {
        let error = json!({ "code": code, "message": message.to_string() });
        Self::with_body(status, json!({ "error": error }))
    }

    /// A problem that is answered with a body of its own.
    pub fn with_body(status: StatusCode, body: Value) -> Self {
        Self {
            status,
            body,
            retry_after_s: None,
        }
    }

    /// A request that is wrong in itself.
    pub fn invalid(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    /// A failure that a script asked for.
    pub fn scripted(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, "scripted_failure", "the provider failed")
    }

    /// More requests than the client may send.
    pub fn rate_limited(retry_after_s: u64) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(status, "rate_limited", "too many requests")
        }
    }

    /// The version of the API that was asked for is served no more.
    pub fn version_retired() -> Self {
        let message = "version 1 is retired, ask in version 2";
        Self::new(StatusCode::GONE, "version_retired", message)
    }

    /// There is no such version of the API.
    pub fn unknown_version() -> Self {
        let message = "there is no such version, this is version 1";
        Self::new(StatusCode::BAD_REQUEST, "unknown_version", message)
    }

    /// A fail-point acted.
    pub fn injected(message: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "injected", message)
    }
}

impl From<InvalidKey> for Problem {
    fn from(invalid: InvalidKey) -> Self {
        Self::invalid(invalid)
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "the ledger could not be asked");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, "ledger", "the ledger is unavailable")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
