//! What may be asked of the provider, and what makes a request wrong. Pure.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::script::RequestKind;

/// Longest accepted reference, in characters.
pub const REFERENCE_LIMIT: usize = 64;

/// What a request wants done with a customer's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Take money.
    Charge,
    /// Give money back.
    Refund,
}

impl RequestKind for Kind {}

impl Kind {
    /// The word in the ledger and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Charge => "charge",
            Kind::Refund => "refund",
        }
    }
}

/// Body of `POST /charges`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChargeRequest {
    /// The merchant's own name for the purchase.
    pub reference: String,
    /// How much, in minor units of the currency.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// Body of `POST /refunds`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    /// The charge to give back.
    pub charge_id: Uuid,
    /// How much of it, in minor units of the charge's currency.
    pub amount_minor: i64,
}

/// Why a request is wrong in itself; repeating it cannot help.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    /// The reference is empty or too long.
    #[error("reference must have 1 to {REFERENCE_LIMIT} characters")]
    Reference,
    /// The amount is zero or negative.
    #[error("amount_minor must be positive")]
    Amount,
    /// The currency is not an ISO 4217 code.
    #[error("currency must be three capital letters")]
    Currency,
    /// The body is not the JSON that was expected.
    #[error("{0}")]
    Body(String),
}

impl ChargeRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let request: Self =
            serde_json::from_slice(body).map_err(|error| Invalid::Body(error.to_string()))?;
        let length = request.reference.chars().count();
        if length == 0 || length > REFERENCE_LIMIT {
            return Err(Invalid::Reference);
        }
        if request.amount_minor <= 0 {
            return Err(Invalid::Amount);
        }
        let currency = request.currency.as_bytes();
        if currency.len() != 3 || !currency.iter().all(u8::is_ascii_uppercase) {
            return Err(Invalid::Currency);
        }
        Ok(request)
    }
}

impl RefundRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let request: Self =
            serde_json::from_slice(body).map_err(|error| Invalid::Body(error.to_string()))?;
        if request.amount_minor <= 0 {
            return Err(Invalid::Amount);
        }
        Ok(request)
    }
}

/// Whether a refund of `wanted` may be booked on a charge of `charged` of which `refunded` was already given back.
/// All in minor units; never more than was charged.
pub fn refund_fits(charged: i64, refunded: i64, wanted: i64) -> bool {
    wanted > 0
        && refunded
            .checked_add(wanted)
            .is_some_and(|total| total <= charged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(reference: &str, amount_minor: i64, currency: &str) -> Vec<u8> {
        serde_json::to_vec(&serde_json::json!({
            "reference": reference, "amount_minor": amount_minor, "currency": currency,
        }))
        .expect("plain JSON")
    }

    #[test]
    fn a_charge_is_checked_field_by_field() {
        assert!(ChargeRequest::parse(&body("o-1", 1, "EUR")).is_ok());
        assert_eq!(
            ChargeRequest::parse(&body("", 1, "EUR")),
            Err(Invalid::Reference)
        );
        assert_eq!(
            ChargeRequest::parse(&body(&"x".repeat(65), 1, "EUR")),
            Err(Invalid::Reference)
        );
        assert_eq!(
            ChargeRequest::parse(&body("o", 0, "EUR")),
            Err(Invalid::Amount)
        );
        assert_eq!(
            ChargeRequest::parse(&body("o", 1, "eur")),
            Err(Invalid::Currency)
        );
        assert_eq!(
            ChargeRequest::parse(&body("o", 1, "EURO")),
            Err(Invalid::Currency)
        );
    }

    #[test]
    fn unknown_fields_are_refused() {
        let parsed = ChargeRequest::parse(
            br#"{"reference":"o","amount_minor":1,"currency":"EUR","capture":false}"#,
        );
        assert!(matches!(parsed, Err(Invalid::Body(text)) if text.contains("capture")));
    }

    #[test]
    fn a_refund_never_exceeds_its_charge() {
        assert!(refund_fits(100, 0, 100));
        assert!(refund_fits(100, 60, 40));
        assert!(!refund_fits(100, 60, 41));
        assert!(!refund_fits(100, 0, 0));
        assert!(!refund_fits(i64::MAX, i64::MAX, i64::MAX));
    }
}
