//! What an answer means to the customer, decided in one table. When in doubt: `Unknown`.

use firedrill_oracle::record::Outcome;
use serde_json::Value;

/// What a customer saw of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// An answer with a status and, for an accepted order, its id.
    Answer {
        /// The HTTP status.
        status: u16,
        /// `order_id` of the body.
        order_id: Option<String>,
        /// `error.code` of the body.
        code: Option<String>,
    },
    /// No connection could be made, so nothing was sent.
    NotSent {
        /// Why.
        reason: String,
    },
    /// Something was sent and no whole answer came.
    NoAnswer {
        /// Why.
        reason: String,
    },
}

/// An order as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownOrder {
    /// Its state.
    pub state: String,
    /// Its version, where the system counts the changes of an order.
    pub version: Option<i64>,
}

impl ShownOrder {
    /// What the body of an answer shows; none when it says no state.
    pub fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        Some(Self {
            state: body.get("state")?.as_str()?.to_owned(),
            version: body.get("version").and_then(Value::as_i64),
        })
    }
}

/// The table.
///
/// | seen | outcome | because |
/// |---|---|---|
/// | 2xx with an order id | `Done` | the system says so |
/// | 2xx without an order id | `Unknown` | success of something that cannot be named |
/// | 4xx but 408 | `Refused` | the request was judged before anything was done |
/// | 408 | `Unknown` | the server stopped waiting; how far it came is not said |
/// | 503 | `Refused` | this system answers 503 only when nothing was done |
/// | other 5xx, 1xx, 3xx | `Unknown` | it may have been done before it failed |
/// | not sent | `Refused` | nobody heard of it |
/// | sent, no answer | `Unknown` | it may have arrived |
pub fn decide(seen: Seen) -> Outcome {
    match seen {
        Seen::Answer {
            status: 200..=299,
            order_id: Some(order_id),
            ..
        } => Outcome::Done { order_id },
        Seen::Answer {
            status: status @ (400..=407 | 409..=499 | 503),
            code,
            ..
        } => Outcome::Refused {
            reason: named(status, code),
        },
        Seen::Answer { status, code, .. } => Outcome::Unknown {
            reason: named(status, code),
        },
        Seen::NotSent { reason } => Outcome::Refused {
            reason: format!("not sent: {reason}"),
        },
        Seen::NoAnswer { reason } => Outcome::Unknown { reason },
    }
}

fn named(status: u16, code: Option<String>) -> String {
    match code {
        Some(code) => format!("{status} {code}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, order_id: Option<&str>) -> Outcome {
        decide(Seen::Answer {
            status,
            order_id: order_id.map(String::from),
            code: None,
        })
    }

    #[test]
    fn only_an_order_that_can_be_named_is_done() {
        assert!(matches!(answer(201, Some("o")), Outcome::Done { .. }));
        assert!(matches!(answer(200, None), Outcome::Unknown { .. }));
    }

    #[test]
    fn an_order_is_shown_where_a_body_says_its_state() {
        let shown = |body: &str| {
            let shown = ShownOrder::read(body.as_bytes());
            shown.map(|shown| (shown.state, shown.version))
        };
        let paid = |version| Some(("paid".to_owned(), version));
        assert_eq!(shown(r#"{"state":"paid","version":3}"#), paid(Some(3)));
        for without_version in [r#"{"state":"paid"}"#, r#"{"state":"paid","version":"3"}"#] {
            assert_eq!(shown(without_version), paid(None), "{without_version}");
        }
        for nothing in ["", "{}", "[]", r#"{"version":3}"#, r#"{"state":7}"#] {
            assert_eq!(shown(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn refused_is_only_what_certainly_had_no_effect() {
        for status in [400, 404, 409, 413, 422, 429, 503] {
            assert!(
                matches!(answer(status, None), Outcome::Refused { .. }),
                "{status}"
            );
        }
        for status in [302, 408, 500, 502, 504] {
            assert!(
                matches!(answer(status, None), Outcome::Unknown { .. }),
                "{status}"
            );
        }
        let reason = || "x".to_owned();
        assert!(matches!(
            decide(Seen::NotSent { reason: reason() }),
            Outcome::Refused { .. }
        ));
        assert!(matches!(
            decide(Seen::NoAnswer { reason: reason() }),
            Outcome::Unknown { .. }
        ));
    }
}
