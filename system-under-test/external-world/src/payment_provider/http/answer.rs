//! What the public API answers, and how bookings that failed are answered.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::payment_provider::domain::Invalid;
use crate::payment_provider::ledger::{BookingError, Charge, Refund};
use crate::problem::Problem;

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid)
    }
}

impl From<BookingError> for Problem {
    fn from(error: BookingError) -> Self {
        let (status, code) = match error {
            BookingError::Storage(error) => return error.into(),
            BookingError::Declined => {
                return Self::with_body(StatusCode::PAYMENT_REQUIRED, decline_body());
            }
            BookingError::KeyReused => (StatusCode::CONFLICT, "idempotency_key_reused"),
            BookingError::NoSuchCharge => (StatusCode::NOT_FOUND, "no_such_charge"),
            BookingError::ExceedsCharge => (StatusCode::UNPROCESSABLE_ENTITY, "exceeds_charge"),
        };
        Self::new(status, code, error)
    }
}

fn decline_body() -> Value {
    json!({ "status": "declined" })
}

/// The card was declined.
pub(super) fn declined() -> Response {
    (StatusCode::PAYMENT_REQUIRED, Json(decline_body())).into_response()
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
