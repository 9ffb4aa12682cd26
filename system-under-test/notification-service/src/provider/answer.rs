//! What an answer of the message provider means. Pure: a status, a header and a body go in.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use service_kit::http::partner;

/// What became of one attempt to send a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The provider delivers it, or has delivered it before.
    Accepted {
        /// The provider's name for the message.
        provider_id: String,
    },
    /// The provider wants to be left alone for a while; it was not delivered.
    Limited {
        /// For how long.
        wait: Duration,
    },
    /// The provider will never deliver it.
    Refused {
        /// Why.
        why: String,
    },
    /// It may have been delivered or not; it can be tried again.
    Failed {
        /// Why.
        why: String,
    },
}

/// Reads an answer. A success is only believed when the body says what was accepted.
pub(super) fn sent(status: StatusCode, retry_after: Option<&str>, body: &[u8]) -> Sent {
    #[derive(Deserialize)]
    struct Receipt {
        message_id: String,
        status: String,
    }
    if status.is_success() {
        let receipt: Option<Receipt> = serde_json::from_slice(body).ok();
        return match receipt.filter(|receipt| receipt.status == "accepted") {
            Some(receipt) => Sent::Accepted {
                provider_id: receipt.message_id,
            },
            None => Sent::Failed {
                why: format!("success without a receipt: {}", partner::quote(body)),
            },
        };
    }
    let why = format!("{status} {}", partner::quote(body));
    match status {
        StatusCode::TOO_MANY_REQUESTS => Sent::Limited {
            wait: partner::retry_after(retry_after),
        },
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
            Sent::Refused { why }
        }
        _ => Sent::Failed { why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, retry_after: Option<&str>, body: &str) -> Sent {
        let status = StatusCode::from_u16(status).expect("a status");
        sent(status, retry_after, body.as_bytes())
    }

    #[test]
    fn only_a_receipt_is_a_success() {
        let receipt = r#"{"message_id":"m-1","status":"accepted","kind":"paid"}"#;
        let accepted = Sent::Accepted {
            provider_id: "m-1".to_owned(),
        };
        assert_eq!(of(201, None, receipt), accepted);
        assert_eq!(of(200, None, receipt), accepted);
        for other in [
            r#"{"error":{"code":"x"}}"#,
            "",
            r#"{"message_id":"m-1","status":"lost"}"#,
        ] {
            assert!(
                matches!(of(200, None, other), Sent::Failed { .. }),
                "{other}"
            );
        }
    }

    #[test]
    fn a_limit_says_how_long() {
        let wait = |header| match of(429, header, "") {
            Sent::Limited { wait } => wait.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(wait(Some(" 3 ")), 3);
        assert_eq!(wait(None), 1);
        assert_eq!(wait(Some("Wed, 21 Oct 2026 07:28:00 GMT")), 1);
        assert_eq!(wait(Some("86400")), 60);
    }

    #[test]
    fn what_is_wrong_in_itself_is_refused_and_all_else_may_be_tried_again() {
        for status in [400, 409, 422] {
            assert!(
                matches!(of(status, None, "no"), Sent::Refused { .. }),
                "{status}"
            );
        }
        for status in [401, 404, 408, 500, 503] {
            assert!(
                matches!(of(status, None, "no"), Sent::Failed { .. }),
                "{status}"
            );
        }
    }
}
