//! Refusals, as Toxiproxy words them: `{"error": "...", "status": 404}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::kafka::KafkaRuleError;
use crate::registry::RegistryError;
use crate::toxic::ToxicError;

/// A request that was not granted.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: String,
}

impl Refusal {
    pub(super) fn bad_body(reason: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: format!("bad request body: {reason}"),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "error": self.error, "status": self.status.as_u16() })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.to_json())).into_response()
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        let status = match error {
            RegistryError::Missing(_) => StatusCode::BAD_REQUEST,
            RegistryError::AlreadyExists => StatusCode::CONFLICT,
            RegistryError::NotFound => StatusCode::NOT_FOUND,
            RegistryError::Duplicate(_)
            | RegistryError::BadListen { .. }
            | RegistryError::Proxy(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            error: error.to_string(),
        }
    }
}

impl From<ToxicError> for Refusal {
    fn from(error: ToxicError) -> Self {
        let status = match error {
            ToxicError::AlreadyExists => StatusCode::CONFLICT,
            ToxicError::NotFound => StatusCode::NOT_FOUND,
            ToxicError::InvalidType
            | ToxicError::InvalidStream
            | ToxicError::InvalidAttributes(_) => StatusCode::BAD_REQUEST,
        };
        Self {
            status,
            error: error.to_string(),
        }
    }
}

impl From<KafkaRuleError> for Refusal {
    fn from(error: KafkaRuleError) -> Self {
        let status = match error {
            KafkaRuleError::AlreadyExists => StatusCode::CONFLICT,
            KafkaRuleError::NotFound => StatusCode::NOT_FOUND,
            KafkaRuleError::NotKafka | KafkaRuleError::Invalid(_) => StatusCode::BAD_REQUEST,
        };
        Self {
            status,
            error: error.to_string(),
        }
    }
}
