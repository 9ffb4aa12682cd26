//! The envelope of every message, and the one way to read and to write it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// The major version of every message that this build writes, and the only one that it reads.
///
/// Adding an optional field does not change it; readers ignore fields that they do not know. Anything else does.
pub const VERSION: u32 = 1;

/// Namespace under which [`deterministic_id`] derives ids, so that they meet nobody else's.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_57a1_3b0c_4c8e_9a44_71c2_5e0b_d3a7);

/// What every message carries around its own fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<K> {
    /// Major version, see [`VERSION`].
    pub version: u32,
    /// Stays the same however often the message is published or delivered.
    pub message_id: Uuid,
    /// The order that the message is about; also the key of the record.
    pub order_id: Uuid,
    /// When the message was first written.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What the message says: its `kind` and the fields of that kind.
    #[serde(flatten)]
    pub body: K,
}

impl<K: Kind> Envelope<K> {
    /// A message whose id follows from the order and the kind, for steps that happen once in the life of an order.
    pub fn once_per_order(order_id: Uuid, at: OffsetDateTime, body: K) -> Self {
        let message_id = deterministic_id(order_id, K::TOPIC, body.kind());
        Self {
            version: VERSION,
            message_id,
            order_id,
            at,
            body,
        }
    }
}

/// A closed set of message kinds that share a topic.
pub trait Kind {
    /// The topic, without prefix.
    const TOPIC: &'static str;
    /// Name of the kind as it stands in the message.
    fn kind(&self) -> &'static str;
}

/// Id of the message of `kind` in `topic` for an order: the same on every call, on every instance.
pub fn deterministic_id(order_id: Uuid, topic: &str, kind: &str) -> Uuid {
    let name = format!("{order_id}/{topic}/{kind}");
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

/// Why a payload is not a message that this build understands. None of these goes away by trying again.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Not JSON, or not an object.
    #[error("not a JSON object: {0}")]
    NotJson(String),
    /// The field `version` is missing or no number.
    #[error("field `version` is missing or not a whole number")]
    NoVersion,
    /// A major version that this build does not know.
    #[error("version {found} is unknown, this build reads version {VERSION}")]
    UnknownVersion {
        /// What the message says.
        found: u64,
    },
    /// The right version, but a field is missing, of the wrong type, or the kind is unknown.
    #[error("{0}")]
    Fields(String),
}

type Fields = serde_json::Map<String, serde_json::Value>;

/// Reads a message: refuses unknown versions, ignores unknown fields.
///
/// # Errors
/// See [`MessageError`]; the version is looked at before any other field, so that a message of a later version is never
/// reported as a malformed one.
pub fn read<K: DeserializeOwned>(payload: &[u8]) -> Result<Envelope<K>, MessageError> {
    let fields = object(payload)?;
    let found = fields
        .get("version")
        .and_then(serde_json::Value::as_u64)
        .ok_or(MessageError::NoVersion)?;
    if found != u64::from(VERSION) {
        return Err(MessageError::UnknownVersion { found });
    }
    envelope(fields)
}

/// Reads a message and takes its fields for what this build knows, whatever version it says it has: what a reader does
/// that does not protect itself from later versions.
///
/// # Errors
/// See [`MessageError`]; never about the version.
pub fn read_whatever_version<K: DeserializeOwned>(
    payload: &[u8],
) -> Result<Envelope<K>, MessageError> {
    let mut fields = object(payload)?;
    fields.insert("version".to_owned(), VERSION.into());
    envelope(fields)
}

/// The fields of a payload that a message which was read from it does not have: those that this build does not know.
///
/// # Errors
/// See [`MessageError`].
pub fn unknown_fields<K: Serialize>(
    payload: &[u8],
    message: &Envelope<K>,
) -> Result<Vec<String>, MessageError> {
    let known = write(message)?;
    let names = object(payload)?.into_iter().map(|(name, _)| name);
    Ok(names.filter(|name| known.get(name).is_none()).collect())
}

fn object(payload: &[u8]) -> Result<Fields, MessageError> {
    match serde_json::from_slice(payload) {
        Ok(serde_json::Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(MessageError::NotJson(
            "the payload is another JSON value".to_owned(),
        )),
        Err(error) => Err(MessageError::NotJson(error.to_string())),
    }
}

fn envelope<K: DeserializeOwned>(fields: Fields) -> Result<Envelope<K>, MessageError> {
    serde_json::from_value(serde_json::Value::Object(fields))
        .map_err(|error| MessageError::Fields(error.to_string()))
}

/// Writes a message as JSON.
///
/// # Errors
/// [`MessageError::Fields`] when a field cannot be written; for the types of this crate that is a date beyond year 9999.
pub fn write<K: Serialize>(message: &Envelope<K>) -> Result<serde_json::Value, MessageError> {
    serde_json::to_value(message).map_err(|error| MessageError::Fields(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::{PaymentCommand, PaymentCommandKind};
    use time::macros::datetime;

    fn charge() -> PaymentCommand {
        Envelope::once_per_order(
            Uuid::from_u128(7),
            datetime!(2026-11-23 10:00 UTC),
            PaymentCommandKind::Charge {
                amount_minor: 1999,
                currency: "EUR".into(),
                customer_id: "c-1".into(),
            },
        )
    }

    fn changed(change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> Vec<u8> {
        let mut value = write(&charge()).expect("writes");
        change(value.as_object_mut().expect("an object"));
        value.to_string().into_bytes()
    }

    #[test]
    fn a_message_is_read_back_as_it_was_written() {
        let read_back: PaymentCommand = read(&changed(|_| ())).expect("reads");
        assert_eq!(read_back, charge());
    }

    #[test]
    fn the_wire_format_is_flat() {
        let value = write(&charge()).expect("writes");
        assert_eq!(value["kind"], "charge");
        assert_eq!(value["amount_minor"], 1999);
        assert_eq!(value["at"], "2026-11-23T10:00:00Z");
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let payload = changed(|fields| {
            fields.insert("loyalty".into(), "gold".into());
        });
        assert!(read::<PaymentCommandKind>(&payload).is_ok());
    }

    #[test]
    fn unknown_fields_can_be_named() {
        let payload = changed(|fields| {
            fields.insert("loyalty".into(), "gold".into());
        });
        let message = read::<PaymentCommandKind>(&payload).expect("reads");
        let unknown = unknown_fields(&payload, &message).expect("an object");
        assert_eq!(unknown, ["loyalty"]);
        assert!(
            unknown_fields(&changed(|_| ()), &message)
                .expect("an object")
                .is_empty()
        );
    }

    #[test]
    fn a_reader_without_protection_guesses_what_a_later_version_means() {
        let payload = changed(|fields| {
            fields.insert("version".into(), 2.into());
        });
        let guessed: PaymentCommand = read_whatever_version(&payload).expect("guesses");
        assert_eq!(guessed, charge());
        assert!(read_whatever_version::<PaymentCommandKind>(b"[]").is_err());
    }

    #[test]
    fn an_unknown_version_is_told_apart_from_a_malformed_message() {
        let payload = changed(|fields| {
            fields.insert("version".into(), 2.into());
            fields.remove("amount_minor");
        });
        assert!(matches!(
            read::<PaymentCommandKind>(&payload),
            Err(MessageError::UnknownVersion { found: 2 })
        ));
        let payload = changed(|fields| {
            fields.remove("version");
        });
        assert!(matches!(
            read::<PaymentCommandKind>(&payload),
            Err(MessageError::NoVersion)
        ));
    }

    #[test]
    fn missing_fields_unknown_kinds_and_noise_are_refused() {
        let payload = changed(|fields| {
            fields.remove("amount_minor");
        });
        let error = read::<PaymentCommandKind>(&payload)
            .expect_err("a field is missing")
            .to_string();
        assert!(error.contains("amount_minor"), "{error}");
        let payload = changed(|fields| {
            fields.insert("kind".into(), "gamble".into());
        });
        assert!(matches!(
            read::<PaymentCommandKind>(&payload),
            Err(MessageError::Fields(_))
        ));
        for noise in [&b"\xff\x00"[..], b"", b"[]", b"null", b"{\"version\":1"] {
            assert!(read::<PaymentCommandKind>(noise).is_err());
        }
    }

    #[test]
    fn ids_follow_from_order_topic_and_kind() {
        let order = Uuid::from_u128(1);
        let id = deterministic_id(order, "payment-commands", "charge");
        assert_eq!(id, deterministic_id(order, "payment-commands", "charge"));
        assert_ne!(id, deterministic_id(order, "payment-commands", "refund"));
        assert_ne!(id, deterministic_id(order, "payment-results", "charge"));
        assert_ne!(
            id,
            deterministic_id(Uuid::from_u128(2), "payment-commands", "charge")
        );
    }
}
