//! Which messages are events that can be kept.

use contracts::{MessageError, OrderEventBody};
use serde_json::Value;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Whether every field must be there.
    pub schema: bool,
    /// Whether the major version must be known.
    pub version: bool,
}

/// The event as it is kept, or why it has to be parked.
///
/// # Errors
/// The reason, for the dead-letter topic.
pub fn admit(payload: &[u8], admission: Admission) -> Result<Value, String> {
    let kept = || {
        serde_json::from_slice(payload)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(payload).into_owned()))
    };
    let unknown_version = match contracts::read::<OrderEventBody>(payload) {
        Ok(_) => return Ok(kept()),
        Err(error @ MessageError::UnknownVersion { .. }) => error,
        Err(error) if admission.schema => return Err(error.to_string()),
        Err(_) => return Ok(kept()),
    };
    if admission.version {
        return Err(unknown_version.to_string());
    }
    let mut event = kept();
    if admission.schema {
        event["version"] = contracts::VERSION.into();
        let as_known = event.to_string();
        contracts::read::<OrderEventBody>(as_known.as_bytes())
            .map_err(|error| error.to_string())?;
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ALL: Admission = Admission {
        schema: true,
        version: true,
    };

    fn paid() -> Value {
        json!({
            "version": 1, "message_id": "00000000-0000-0000-0000-000000000001",
            "order_id": "00000000-0000-0000-0000-000000000002", "at": "2026-11-25T10:00:00Z", "kind": "paid",
            "sequence": 3, "lines": [], "amount_minor": 100, "currency": "EUR", "customer_id": "c-1",
        })
    }

    fn without(field: &str) -> Vec<u8> {
        let mut event = paid();
        event
            .as_object_mut()
            .expect("an object")
            .shift_remove(field);
        event.to_string().into_bytes()
    }

    fn version_2() -> Vec<u8> {
        let mut event = paid();
        event["version"] = 2.into();
        event.to_string().into_bytes()
    }

    #[test]
    fn an_event_is_kept_with_the_fields_that_nobody_knows() {
        let mut event = paid();
        event["loyalty"] = "gold".into();
        assert_eq!(admit(event.to_string().as_bytes(), ALL), Ok(event));
    }

    #[test]
    fn what_lacks_a_field_or_is_no_json_is_refused_unless_nobody_looks() {
        let careless = Admission {
            schema: false,
            ..ALL
        };
        let reason = admit(&without("amount_minor"), ALL).expect_err("refused");
        assert!(reason.contains("amount_minor"), "{reason}");
        assert!(admit(&without("amount_minor"), careless).is_ok());
        assert!(admit(b"\xff{", ALL).is_err());
        assert!(admit(b"\xff{", careless).is_ok());
    }

    #[test]
    fn an_unknown_version_is_refused_unless_nobody_looks() {
        let careless = Admission {
            version: false,
            ..ALL
        };
        let reason = admit(&version_2(), ALL).expect_err("refused");
        assert!(reason.contains("version 2"), "{reason}");
        assert!(admit(&version_2(), careless).is_ok());
        assert!(admit(&without("version"), careless).is_err());
    }
}
