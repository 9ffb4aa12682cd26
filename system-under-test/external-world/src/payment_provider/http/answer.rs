//! What the public API answers, and the one place where errors become statuses.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::payment_provider::domain::Invalid;
use crate::payment_provider::ledger::{BookingError, Charge, Refund};

/// A refusal or a failure of the public API.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after_s: Option<u64>,
}

impl Problem {
    /// A failure that a script asked for.
    pub(super) fn scripted(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, "scripted_failure", "the provider failed")
    }

    /// More requests than the merchant may send.
    pub(super) fn rate_limited(retry_after_s: u64) -> Self {
        let problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "too many requests",
        );
        Self {
            retry_after_s: Some(retry_after_s),
            ..problem
        }
    }

    /// A fail-point acted.
    pub(super) fn injected(message: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "injected", message)
    }

    fn new(status: StatusCode, code: &'static str, message: impl ToString) -> Self {
        Self {
            status,
            code,
            message: message.to_string(),
            retry_after_s: None,
        }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", invalid)
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "the ledger could not be asked");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ledger",
            "the ledger is unavailable",
        )
    }
}

impl From<BookingError> for Problem {
    fn from(error: BookingError) -> Self {
        let (status, code) = match error {
            BookingError::Storage(error) => return error.into(),
            BookingError::KeyReused => (StatusCode::CONFLICT, "idempotency_key_reused"),
            BookingError::Declined => (StatusCode::PAYMENT_REQUIRED, "declined"),
            BookingError::NoSuchCharge => (StatusCode::NOT_FOUND, "no_such_charge"),
            BookingError::ExceedsCharge => (StatusCode::UNPROCESSABLE_ENTITY, "exceeds_charge"),
        };
        Self::new(status, code, error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.status == StatusCode::PAYMENT_REQUIRED {
            return declined();
        }
        let body = Json(json!({ "error": { "code": self.code, "message": self.message } }));
        let mut response = (self.status, body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The card was declined.
pub(super) fn declined() -> Response {
    (
        StatusCode::PAYMENT_REQUIRED,
        Json(json!({ "status": "declined" })),
    )
        .into_response()
}

/// 200, and yet an error: what a script may ask for.
pub(super) fn error_in_disguise() -> Response {
    let error = json!({ "code": "processing_error", "message": "the charge was not made" });
    (StatusCode::OK, Json(json!({ "error": error }))).into_response()
}

/// A charge, as the public API shows it.
pub(super) fn charge(status: StatusCode, charge: &Charge) -> Response {
    let body = json!({
        "charge_id": charge.charge_id,
        "status": "succeeded",
        "reference": charge.reference,
        "amount_minor": charge.amount_minor,
        "currency": charge.currency,
    });
    (status, Json(body)).into_response()
}

/// A refund, as the public API shows it.
pub(super) fn refund(status: StatusCode, refund: &Refund) -> Response {
    let body = json!({
        "refund_id": refund.refund_id,
        "status": "succeeded",
        "charge_id": refund.charge_id,
        "reference": refund.reference,
        "amount_minor": refund.amount_minor,
    });
    (status, Json(body)).into_response()
}
