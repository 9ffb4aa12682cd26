//! Reading order events: what is understood, and how much may differ from what this build writes itself.

use contracts::{MessageError, OrderEvent, OrderEventBody};
use serde_json::{Map, Value};

/// The fields of an order event of this version.
const FIELDS: [&str; 10] = [
    "version",
    "message_id",
    "order_id",
    "at",
    "kind",
    "sequence",
    "lines",
    "amount_minor",
    "currency",
    "customer_id",
];

/// The currency of events that were written before they named one.
const CURRENCY_BEFORE: &str = "EUR";

/// How much an event may differ from what this build knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// Unknown fields are ignored, and what earlier writers of the same version left out is known.
    Tolerant,
    /// Exactly the fields of this version.
    Exact,
}

/// Reads an order event.
///
/// # Errors
/// It is not understood; none of the reasons goes away by trying again.
pub fn read(payload: &[u8], tolerance: Tolerance) -> Result<OrderEvent, MessageError> {
    match tolerance {
        Tolerance::Tolerant => contracts::read::<OrderEventBody>(&completed(payload)),
        Tolerance::Exact => {
            let event = contracts::read::<OrderEventBody>(payload)?;
            refuse_unknown(payload)?;
            Ok(event)
        }
    }
}

/// The payload with what earlier writers left out. One that is no object is left to the reader, which says so.
fn completed(payload: &[u8]) -> Vec<u8> {
    let Some(mut fields) = object(payload) else {
        return payload.to_vec();
    };
    if fields.contains_key("currency") {
        return payload.to_vec();
    }
    fields.insert("currency".to_owned(), CURRENCY_BEFORE.into());
    Value::Object(fields).to_string().into_bytes()
}

fn refuse_unknown(payload: &[u8]) -> Result<(), MessageError> {
    let fields = object(payload).unwrap_or_default();
    match fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(MessageError::Fields(format!("unknown field `{name}`"))),
    }
}

fn object(payload: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(change: impl FnOnce(&mut Map<String, Value>)) -> Vec<u8> {
        let mut event = serde_json::json!({
            "version": 1,
            "message_id": "0192f0c1-7a00-7000-8000-000000000001",
            "order_id": "0192f0c1-7a00-7000-8000-000000000002",
            "at": "2026-11-23T10:00:00Z",
            "kind": "paid",
            "sequence": 3,
            "lines": [{ "product_id": "p-1", "quantity": 2 }],
            "amount_minor": 1200,
            "currency": "USD",
            "customer_id": "customer-001",
        });
        change(event.as_object_mut().expect("an object"));
        event.to_string().into_bytes()
    }

    #[test]
    fn the_fields_of_this_version_are_read_either_way() {
        for tolerance in [Tolerance::Tolerant, Tolerance::Exact] {
            let read = read(&event(|_| ()), tolerance).expect("understood");
            assert_eq!(read.body.currency, "USD");
        }
        let written: Value = serde_json::from_slice(&event(|_| ())).expect("JSON");
        let names: Vec<_> = written.as_object().expect("an object").keys().collect();
        assert_eq!(names.len(), FIELDS.len());
    }

    #[test]
    fn an_event_from_before_the_currency_is_understood_only_by_tolerance() {
        let before = event(|fields| {
            fields.remove("currency");
        });
        let tolerant = read(&before, Tolerance::Tolerant).expect("understood");
        assert_eq!(tolerant.body.currency, "EUR");
        let exact = read(&before, Tolerance::Exact).expect_err("a field is missing");
        assert!(exact.to_string().contains("currency"), "{exact}");
    }

    #[test]
    fn a_field_that_came_later_is_ignored_only_by_tolerance() {
        let later = event(|fields| {
            fields.insert("loyalty".into(), "gold".into());
        });
        assert!(read(&later, Tolerance::Tolerant).is_ok());
        let exact = read(&later, Tolerance::Exact).expect_err("a field is unknown");
        assert!(exact.to_string().contains("loyalty"), "{exact}");
    }

    #[test]
    fn no_tolerance_makes_another_version_or_a_missing_customer_understood() {
        let later = event(|fields| {
            fields.insert("version".into(), 2.into());
        });
        let error = read(&later, Tolerance::Tolerant).expect_err("another version");
        assert!(matches!(error, MessageError::UnknownVersion { found: 2 }));
        let nobodys = event(|fields| {
            fields.remove("customer_id");
        });
        let error = read(&nobodys, Tolerance::Tolerant).expect_err("a field is missing");
        assert!(error.to_string().contains("customer_id"), "{error}");
        for noise in [&b"\xff"[..], b"", b"[]", b"7"] {
            assert!(read(noise, Tolerance::Tolerant).is_err());
            assert!(read(noise, Tolerance::Exact).is_err());
        }
    }
}
