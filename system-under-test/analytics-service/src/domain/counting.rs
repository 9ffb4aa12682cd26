//! What a kept event counts for, and in which window.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An event as dashboards count it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Stays the same however often the event arrives.
    pub message_id: String,
    /// The order.
    pub order_id: String,
    /// Where it was read.
    pub partition: i32,
    /// Where it was read.
    pub offset: i64,
    /// What happened.
    pub kind: String,
    /// When it happened, as it says itself.
    pub at: OffsetDateTime,
    /// Beginning of the window in which it counts. Seconds since 1970.
    pub window_start_s: i64,
    /// ISO 4217.
    pub currency: String,
    /// Sum of the order in minor units.
    pub amount_minor: i64,
}

/// Which time decides about an event's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowTime {
    /// When it happened.
    Event,
    /// When it was taken in.
    Arrival,
}

/// What an event counts for. What it lacks counts as nothing: it is not judged here any more.
pub fn count(
    event: &Value,
    (partition, offset): (i32, i64),
    arrived: OffsetDateTime,
    time: WindowTime,
    window_s: i64,
) -> Counted {
    let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let at = event["at"]
        .as_str()
        .and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok())
        .unwrap_or(arrived);
    let message_id = match event["message_id"].as_str() {
        Some(id) => id.to_owned(),
        None => format!("{partition}/{offset}"),
    };
    let deciding = match time {
        WindowTime::Event => at,
        WindowTime::Arrival => arrived,
    };
    Counted {
        message_id,
        order_id: text("order_id"),
        partition,
        offset,
        kind: text("kind"),
        at,
        window_start_s: window_start(deciding, window_s),
        currency: text("currency"),
        amount_minor: event["amount_minor"].as_i64().unwrap_or(0),
    }
}

fn window_start(at: OffsetDateTime, window_s: i64) -> i64 {
    let seconds = at.unix_timestamp();
    seconds - seconds.rem_euclid(window_s.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    fn paid() -> Value {
        json!({ "message_id": "m", "order_id": "o", "kind": "paid", "at": "2026-11-25T10:00:59.999Z", "currency": "EUR",
            "amount_minor": 250 })
    }

    const ARRIVED: OffsetDateTime = datetime!(2026-11-25 10:02:00 UTC);

    #[test]
    fn an_event_counts_when_it_happened() {
        let counted = count(&paid(), (1, 2), ARRIVED, WindowTime::Event, 60);
        assert_eq!(
            counted.window_start_s,
            datetime!(2026-11-25 10:00 UTC).unix_timestamp()
        );
        assert_eq!((counted.kind.as_str(), counted.amount_minor), ("paid", 250));
        let counted = count(&paid(), (1, 2), ARRIVED, WindowTime::Arrival, 60);
        assert_eq!(counted.window_start_s, ARRIVED.unix_timestamp());
    }

    #[test]
    fn windows_begin_before_1970_too() {
        assert_eq!(window_start(datetime!(1969-12-31 23:59:59 UTC), 60), -60);
        assert_eq!(window_start(datetime!(1970-01-01 0:00 UTC), 60), 0);
    }

    #[test]
    fn what_an_event_lacks_counts_as_nothing() {
        let counted = count(
            &json!({ "kind": "paid" }),
            (4, 9),
            ARRIVED,
            WindowTime::Event,
            60,
        );
        assert_eq!(counted.message_id, "4/9");
        assert_eq!((counted.amount_minor, counted.at), (0, ARRIVED));
        let counted = count(&json!("noise"), (4, 9), ARRIVED, WindowTime::Event, 60);
        assert_eq!(counted.kind, "");
    }
}
