//! The fields of each kind of fact, and how a row becomes a fact.

use firedrill_oracle::record::{Fact, FactKind};
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldType {
    Text,
    OptionalText,
    /// A text that a place need not have at all.
    SpareText,
    Integer,
    /// A number that a place need not have at all.
    SpareInteger,
    Boolean,
    /// A moment as RFC 3339 or as microseconds since 1970; facts hold the latter.
    Moment,
    /// A moment that a place need not have at all.
    SpareMoment,
}

impl FieldType {
    /// Whether a place may leave it out.
    pub(super) fn is_spare(self) -> bool {
        matches!(
            self,
            Self::SpareText | Self::SpareInteger | Self::SpareMoment
        )
    }

    fn is_moment(self) -> bool {
        matches!(self, Self::Moment | Self::SpareMoment)
    }

    /// In words, for messages.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::OptionalText | Self::SpareText => "a text or nothing",
            Self::Integer => "a whole number",
            Self::SpareInteger => "a whole number or nothing",
            Self::Boolean => "true or false",
            Self::Moment => "a moment such as 2026-11-23T10:00:00Z",
            Self::SpareMoment => "a moment such as 2026-11-23T10:00:00Z or nothing",
        }
    }

    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::OptionalText | Self::SpareText => value.is_string() || value.is_null(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::SpareInteger => value.is_i64() || value.is_u64() || value.is_null(),
            Self::Boolean => value.is_boolean(),
            Self::Moment => value.is_i64(),
            Self::SpareMoment => value.is_i64() || value.is_null(),
        }
    }
}

/// The fields of a kind of fact, in the order of the record types.
pub(super) fn fields(kind: FactKind) -> &'static [(&'static str, FieldType)] {
    use FieldType::{
        Boolean, Integer, Moment, OptionalText, SpareInteger, SpareMoment, SpareText, Text,
    };
    match kind {
        FactKind::Order => &[
            ("order_id", Text),
            ("reference", Text),
            ("state", Text),
            ("is_final", Boolean),
            ("amount_minor", Integer),
            ("version", Integer),
            ("currency", SpareText),
        ],
        FactKind::OrderLine => &[
            ("order_id", Text),
            ("product_id", Text),
            ("quantity", Integer),
        ],
        FactKind::AuditEntry => &[
            ("order_id", Text),
            ("version", Integer),
            ("from_state", OptionalText),
            ("to_state", Text),
            ("at_ms", SpareInteger),
        ],
        FactKind::Charge => &[
            ("charge_id", Text),
            ("order_id", Text),
            ("amount_minor", Integer),
            ("idempotency_key", OptionalText),
            ("currency", SpareText),
            ("at_us", SpareMoment),
        ],
        FactKind::Refund => &[
            ("refund_id", Text),
            ("charge_id", Text),
            ("order_id", Text),
            ("amount_minor", Integer),
        ],
        FactKind::ProviderRequests => &[("order_id", Text), ("kind", Text), ("attempts", Integer)],
        FactKind::Stock => &[
            ("product_id", Text),
            ("initial", Integer),
            ("on_hand", Integer),
        ],
        FactKind::ShownStock => &[("product_id", Text), ("on_hand", Integer)],
        FactKind::StockMove => &[
            ("sequence", Integer),
            ("order_id", Text),
            ("product_id", Text),
            ("quantity", Integer),
            ("on_hand_after", Integer),
        ],
        FactKind::Message => &[
            ("topic", Text),
            ("partition", Integer),
            ("offset", Integer),
            ("message_id", OptionalText),
            ("order_id", OptionalText),
            ("kind", OptionalText),
        ],
        FactKind::Progress => &[
            ("group", Text),
            ("topic", Text),
            ("partition", Integer),
            ("committed", Integer),
            ("end", Integer),
        ],
        FactKind::Processed => &[
            ("group", Text),
            ("message_id", Text),
            ("order_id", OptionalText),
        ],
        FactKind::Parked => &[
            ("group", Text),
            ("topic", Text),
            ("partition", Integer),
            ("offset", Integer),
            ("reason", Text),
        ],
        FactKind::Told => &[
            ("message_id", Text),
            ("order_id", Text),
            ("kind", Text),
            ("channel", Text),
            ("recipient", Text),
            ("at_us", Moment),
        ],
        FactKind::DashboardRow => &[
            ("window_start_s", Integer),
            ("window_s", Integer),
            ("currency", Text),
            ("placed", Integer),
            ("paid", Integer),
            ("refunded", Integer),
            ("revenue_minor", Integer),
        ],
        FactKind::DashboardClaim => &[
            ("build", Integer),
            ("group", Text),
            ("topic", Text),
            ("partition", Integer),
            ("complete", Boolean),
            ("counted", Integer),
            ("behind", Integer),
            ("end_offset", Integer),
        ],
    }
}

/// The name of a kind, as files and journals have it.
pub(super) fn kind_name(kind: FactKind) -> String {
    match serde_json::to_value(kind) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

/// The kind of a name.
pub(super) fn kind_named(name: &str) -> Option<FactKind> {
    FactKind::ALL
        .into_iter()
        .find(|kind| kind_name(*kind) == name)
}

/// A fact from its fields; says which field does not fit.
pub(super) fn fact(kind: FactKind, mut row: Map<String, Value>) -> Result<Fact, String> {
    for (name, holds) in fields(kind) {
        if let Some(value) = row.get_mut(*name).filter(|_| holds.is_moment()) {
            in_microseconds(value);
        }
        let value = row.get(*name).unwrap_or(&Value::Null);
        if !holds.fits(value) {
            return Err(format!(
                "field `{name}` of {} must be {}, but is {value}",
                kind.words(),
                holds.words()
            ));
        }
    }
    row.insert("fact".to_owned(), Value::String(kind_name(kind)));
    serde_json::from_value(Value::Object(row))
        .map_err(|error| format!("{} cannot be understood: {error}", kind.words()))
}

/// A moment that is written out becomes microseconds since 1970; anything else stays as it is.
fn in_microseconds(value: &mut Value) {
    let moment = value
        .as_str()
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    if let Some(moment) = moment
        && let Ok(at_us) = i64::try_from(moment.unix_timestamp_nanos() / 1_000)
    {
        *value = at_us.into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(holds: FieldType) -> Value {
        match holds {
            FieldType::Text | FieldType::OptionalText | FieldType::SpareText => json!("x"),
            FieldType::Integer
            | FieldType::SpareInteger
            | FieldType::Moment
            | FieldType::SpareMoment => json!(7),
            FieldType::Boolean => json!(true),
        }
    }

    #[test]
    fn the_fields_are_those_of_the_facts() {
        for kind in FactKind::ALL {
            let row: Map<String, Value> = fields(kind)
                .iter()
                .map(|(name, holds)| ((*name).to_owned(), sample(*holds)))
                .collect();
            let fact = fact(kind, row.clone()).unwrap();
            assert_eq!(fact.kind(), kind);
            let Value::Object(mut written) = serde_json::to_value(&fact).unwrap() else {
                panic!("{kind:?} is not an object");
            };
            written.remove("fact");
            assert_eq!(written, row);
            assert_eq!(kind_named(&kind_name(kind)), Some(kind));
        }
    }

    #[test]
    fn a_moment_is_read_as_it_is_written_out() {
        let told = |at: Value| {
            let row = json!({
                "message_id": "m", "order_id": "o", "kind": "paid", "channel": "email",
                "recipient": "r", "at_us": at,
            });
            let Value::Object(row) = row else { panic!() };
            fact(FactKind::Told, row)
        };
        let at_us = |at| match told(at).unwrap() {
            Fact::Told { at_us, .. } => at_us,
            other => panic!("{other:?}"),
        };
        assert_eq!(at_us(json!("1970-01-01T00:00:01.5Z")), 1_500_000);
        assert_eq!(at_us(json!("1970-01-01T01:00:00+01:00")), 0);
        assert_eq!(at_us(json!(7)), 7);
        let error = told(json!("yesterday")).unwrap_err();
        assert!(
            error.contains("at_us") && error.contains("2026-11-23"),
            "{error}"
        );
    }

    #[test]
    fn a_field_that_does_not_fit_is_named() {
        let row = json!({"order_id": "o", "product_id": null, "quantity": 1});
        let Value::Object(row) = row else { panic!() };
        assert_eq!(
            fact(FactKind::OrderLine, row).unwrap_err(),
            "field `product_id` of order lines must be a text, but is null"
        );
    }
}
