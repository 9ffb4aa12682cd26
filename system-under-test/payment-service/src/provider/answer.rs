//! What an answer of the provider means. Pure: a status, a few headers and a body go in.

use reqwest::StatusCode;
use serde::Deserialize;
use service_kit::http::partner;

use crate::domain::{Attempted, Kind, LookedUp};

/// Reads the answer to a charge or a refund of `amount_minor`. With `check_body` a success is only believed when the
/// body says what was booked and the amount is the one asked for; without it every 2xx is a success.
pub(super) fn attempted(
    kind: Kind,
    amount_minor: i64,
    status: StatusCode,
    retry_after: Option<&str>,
    body: &[u8],
    check_body: bool,
) -> Attempted {
    if status.is_success() {
        return booked(kind, amount_minor, body, check_body);
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS => Attempted::NotBooked {
            why: "429 too many requests".to_owned(),
            retry_after: Some(partner::retry_after(retry_after)),
        },
        StatusCode::PAYMENT_REQUIRED => Attempted::Declined {
            reason: "declined by the provider".to_owned(),
        },
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
            Attempted::Declined {
                reason: format!("refused by the provider: {status} {}", partner::quote(body)),
            }
        }
        // Our address, our key or our version is wrong: nothing was booked, and it works again once that is repaired.
        _ if status.is_client_error() => Attempted::NotBooked {
            why: format!("{status} {}", partner::quote(body)),
            retry_after: None,
        },
        _ => Attempted::Unknown {
            why: format!("{status} {}", partner::quote(body)),
        },
    }
}

#[derive(Deserialize)]
struct Receipt {
    charge_id: Option<String>,
    refund_id: Option<String>,
    status: Option<String>,
    amount_minor: Option<i64>,
}

fn booked(kind: Kind, amount_minor: i64, body: &[u8], check_body: bool) -> Attempted {
    let receipt: Option<Receipt> = serde_json::from_slice(body).ok();
    let name_of = |receipt: Receipt| match kind {
        Kind::Charge => receipt.charge_id,
        Kind::Refund => receipt.refund_id,
    };
    if !check_body {
        let provider_id = receipt
            .and_then(name_of)
            .unwrap_or_else(|| "unnamed".to_owned());
        return Attempted::Booked { provider_id };
    }
    let sound = receipt.filter(|receipt| {
        receipt.status.as_deref() == Some("succeeded") && receipt.amount_minor == Some(amount_minor)
    });
    match sound.and_then(name_of) {
        Some(provider_id) => Attempted::Booked { provider_id },
        None => Attempted::Unknown {
            why: format!("success without a receipt: {}", partner::quote(body)),
        },
    }
}

/// Reads the answer to a look-up by key.
pub(super) fn looked_up(kind: Kind, status: StatusCode, body: &[u8]) -> LookedUp {
    #[derive(Deserialize)]
    struct Found {
        #[serde(default)]
        charges: Option<Vec<Receipt>>,
        #[serde(default)]
        refunds: Option<Vec<Receipt>>,
    }
    let unanswered = || LookedUp::Unanswered {
        why: format!("{status} {}", partner::quote(body)),
    };
    if status != StatusCode::OK {
        return unanswered();
    }
    let Ok(found) = serde_json::from_slice::<Found>(body) else {
        return unanswered();
    };
    let receipts = match kind {
        Kind::Charge => found.charges,
        Kind::Refund => found.refunds,
    };
    let Some(receipts) = receipts else {
        return unanswered();
    };
    let Some(first) = receipts.into_iter().next() else {
        return LookedUp::NotFound;
    };
    let named = match kind {
        Kind::Charge => first.charge_id,
        Kind::Refund => first.refund_id,
    };
    named.map_or_else(unanswered, |provider_id| LookedUp::Found { provider_id })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RECEIPT: &[u8] =
        br#"{"charge_id":"c-1","status":"succeeded","reference":"o","amount_minor":50,"currency":"EUR"}"#;
    const ERROR: &[u8] = br#"{"error":{"code":"processing_error"}}"#;

    fn read(status: u16, body: &[u8], check_body: bool) -> Attempted {
        let status = StatusCode::from_u16(status).expect("valid status");
        attempted(Kind::Charge, 50, status, None, body, check_body)
    }

    #[test]
    fn a_receipt_is_a_success() {
        let booked = Attempted::Booked {
            provider_id: "c-1".to_owned(),
        };
        assert_eq!(read(201, RECEIPT, true), booked);
        assert_eq!(read(200, RECEIPT, true), booked);
    }

    #[test]
    fn a_success_without_a_receipt_is_not_believed() {
        assert!(matches!(read(200, ERROR, true), Attempted::Unknown { .. }));
        assert!(matches!(read(200, b"", true), Attempted::Unknown { .. }));
        let other = br#"{"charge_id":"c-1","status":"succeeded","amount_minor":51}"#;
        assert!(matches!(read(200, other, true), Attempted::Unknown { .. }));
        assert!(matches!(read(200, ERROR, false), Attempted::Booked { .. }));
    }

    #[test]
    fn only_server_errors_leave_doubt() {
        for status in [500, 502, 503, 504, 599, 302] {
            assert!(
                matches!(read(status, b"", true), Attempted::Unknown { .. }),
                "{status}"
            );
        }
        for status in [401, 403, 404, 410, 429] {
            assert!(
                matches!(read(status, b"", true), Attempted::NotBooked { .. }),
                "{status}"
            );
        }
        for status in [400, 402, 409, 422] {
            assert!(
                matches!(read(status, b"", true), Attempted::Declined { .. }),
                "{status}"
            );
        }
    }

    #[test]
    fn retry_after_is_read_and_bounded() {
        let wait = |header| match attempted(
            Kind::Charge,
            50,
            StatusCode::TOO_MANY_REQUESTS,
            header,
            b"",
            true,
        ) {
            Attempted::NotBooked { retry_after, .. } => retry_after,
            _ => None,
        };
        assert_eq!(wait(Some("3")), Some(Duration::from_secs(3)));
        assert_eq!(wait(Some("100000")), Some(partner::RETRY_AFTER_LIMIT));
        assert_eq!(wait(Some("soon")), Some(Duration::from_secs(1)));
        assert_eq!(wait(None), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_look_up_finds_or_does_not_find_or_does_not_answer() {
        let look = |status: u16, body: &[u8]| {
            looked_up(
                Kind::Charge,
                StatusCode::from_u16(status).expect("valid status"),
                body,
            )
        };
        assert_eq!(
            look(200, br#"{"charges":[{"charge_id":"c-1"}]}"#),
            LookedUp::Found {
                provider_id: "c-1".to_owned()
            }
        );
        assert_eq!(look(200, br#"{"charges":[]}"#), LookedUp::NotFound);
        assert!(matches!(look(200, b"{}"), LookedUp::Unanswered { .. }));
        assert!(matches!(look(200, b"<html>"), LookedUp::Unanswered { .. }));
        assert!(matches!(look(404, b"{}"), LookedUp::Unanswered { .. }));
        assert!(matches!(
            look(500, br#"{"charges":[]}"#),
            LookedUp::Unanswered { .. }
        ));
    }
}
