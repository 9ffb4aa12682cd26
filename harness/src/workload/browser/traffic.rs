//! Which orders a browser has sent and what it heard of them, from its own events of the network. Pure.

use std::collections::HashMap;

use firedrill_oracle::record::OrderLine;
use serde::Deserialize;
use serde_json::Value;

use super::super::outcome::Seen;

/// An order as it stood in a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SentOrder {
    /// The customer's purchase reference.
    pub reference: String,
    /// Who orders.
    #[serde(rename = "customer_id")]
    pub customer: String,
    /// What is ordered.
    pub lines: Vec<OrderLine>,
    /// The sum that the page showed, in minor units.
    #[serde(default)]
    pub amount_minor: i64,
}

/// One request with an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The browser's name for it.
    pub request: String,
    /// What was ordered.
    pub order: SentOrder,
    /// The idempotency key that was sent.
    pub key: Option<String>,
    /// When it began, in the browser's own seconds.
    pub began_s: f64,
    /// When that was, in seconds since 1970.
    pub began_wall_s: f64,
    /// When its outcome was known, in the browser's own seconds.
    pub ended_s: f64,
    /// What became of it.
    pub end: End,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// Nothing is known yet.
    Open,
    /// A whole answer came; its body is to be asked of the browser.
    Answered {
        /// The HTTP status.
        status: u16,
    },
    /// No whole answer came.
    Failed(Seen),
}

/// The attempts that are under way.
#[derive(Debug, Default)]
pub struct Traffic {
    open: Vec<Attempt>,
    statuses: HashMap<String, u16>,
}

impl Traffic {
    /// Takes the next event; returns the attempt that it ended.
    pub fn take(&mut self, event: &Value) -> Option<Attempt> {
        let parameters = &event["params"];
        let request = parameters["requestId"].as_str()?;
        match event["method"].as_str()? {
            "Network.requestWillBeSent" => {
                self.open.extend(attempt(request, parameters));
                None
            }
            "Network.responseReceived" if self.is_open(request) => {
                let status = parameters["response"]["status"].as_u64();
                let status = status.and_then(|status| u16::try_from(status).ok());
                self.statuses.extend(Some(request.to_owned()).zip(status));
                None
            }
            "Network.loadingFinished" => {
                let status = self.statuses.remove(request);
                let end = status.map_or(
                    End::Failed(no_answer("an answer without a status")),
                    |status| End::Answered { status },
                );
                self.end(request, parameters, end)
            }
            "Network.loadingFailed" => {
                self.statuses.remove(request);
                self.end(request, parameters, End::Failed(failure(parameters)))
            }
            _ => None,
        }
    }

    /// The attempts that nobody will hear of any more, as the browser is closed.
    pub fn abandon(&mut self) -> Vec<Attempt> {
        let mut left = std::mem::take(&mut self.open);
        for attempt in &mut left {
            attempt.end = End::Failed(no_answer("the browser was closed"));
        }
        left
    }

    fn is_open(&self, request: &str) -> bool {
        self.open.iter().any(|attempt| attempt.request == request)
    }

    fn end(&mut self, request: &str, parameters: &Value, end: End) -> Option<Attempt> {
        let place = self
            .open
            .iter()
            .position(|attempt| attempt.request == request)?;
        let mut attempt = self.open.remove(place);
        attempt.ended_s = parameters["timestamp"].as_f64().unwrap_or(attempt.began_s);
        attempt.end = end;
        Some(attempt)
    }
}

/// The attempt in a request; none when it carries no order.
fn attempt(request: &str, parameters: &Value) -> Option<Attempt> {
    let sent = &parameters["request"];
    if sent["method"].as_str()? != "POST" {
        return None;
    }
    let order: SentOrder = serde_json::from_str(sent["postData"].as_str()?).ok()?;
    let headers = sent["headers"].as_object()?;
    let key = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"))
        .and_then(|(_, value)| value.as_str().map(str::to_owned));
    let began_s = parameters["timestamp"].as_f64()?;
    Some(Attempt {
        request: request.to_owned(),
        order,
        key,
        began_s,
        began_wall_s: parameters["wallTime"].as_f64()?,
        ended_s: began_s,
        end: End::Open,
    })
}

/// What a failed request means. Nothing was sent when no connection came about, or when the browser was not allowed to send
/// (what it asks before it sends an order across origins was not answered as it must be). When in doubt it was sent.
fn failure(parameters: &Value) -> Seen {
    let error = parameters["errorText"].as_str().unwrap_or("failed");
    let not_allowed = parameters["corsErrorStatus"]["corsError"].as_str();
    let reason = match not_allowed {
        Some(why) => format!("{error} ({why})"),
        None => error.to_owned(),
    };
    let before_sending = [
        "net::ERR_CONNECTION_REFUSED",
        "net::ERR_CONNECTION_TIMED_OUT",
        "net::ERR_NAME_NOT_RESOLVED",
        "net::ERR_ADDRESS_UNREACHABLE",
        "net::ERR_SSL_PROTOCOL_ERROR",
    ];
    let nothing_sent = before_sending.contains(&error)
        || error.starts_with("net::ERR_CERT_")
        || not_allowed.is_some_and(|why| why.starts_with("Preflight"))
        || parameters["blockedReason"].is_string();
    if nothing_sent {
        Seen::NotSent { reason }
    } else {
        no_answer(&reason)
    }
}

fn no_answer(reason: &str) -> Seen {
    Seen::NoAnswer {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(request: &str, at_s: f64, method: &str, body: &str) -> Value {
        json!({ "method": "Network.requestWillBeSent", "params": {
            "requestId": request, "timestamp": at_s, "wallTime": 1_000_000.0 + at_s,
            "request": { "method": method, "postData": body, "headers": { "Idempotency-Key": "k-1" } },
        } })
    }

    fn happened(method: &str, request: &str, at_s: f64, more: Value) -> Value {
        let mut parameters = json!({ "requestId": request, "timestamp": at_s });
        parameters
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        json!({ "method": method, "params": parameters })
    }

    const ORDER: &str = r#"{"reference":"web-1","customer_id":"c-1","amount_minor":700,
        "lines":[{"product_id":"p-0001","quantity":2}]}"#;

    #[test]
    fn an_answered_order_is_one_attempt_and_other_requests_are_none() {
        let mut traffic = Traffic::default();
        let response = json!({ "response": { "status": 201 } });
        let events = [
            sent("7.1", 1.0, "GET", ""),
            sent("7.2", 2.0, "POST", ORDER),
            sent("7.3", 2.0, "POST", r#"{"username":"c-1"}"#),
            happened("Network.responseReceived", "7.1", 2.1, response.clone()),
            happened("Network.responseReceived", "7.2", 2.5, response),
            happened("Network.loadingFinished", "7.1", 2.6, json!({})),
        ];
        assert!(events.iter().all(|event| traffic.take(event).is_none()));
        let end = happened("Network.loadingFinished", "7.2", 3.0, json!({}));
        let attempt = traffic.take(&end).expect("it has ended");
        assert_eq!((attempt.began_s, attempt.ended_s), (2.0, 3.0));
        assert_eq!(attempt.end, End::Answered { status: 201 });
        assert_eq!(attempt.key.as_deref(), Some("k-1"));
        assert_eq!(
            (attempt.order.amount_minor, attempt.order.lines[0].quantity),
            (700, 2)
        );
        assert!(traffic.abandon().is_empty());
    }

    #[test]
    fn what_failed_was_sent_unless_that_is_certainly_not_so() {
        let end_of = |how: Value| {
            let mut traffic = Traffic::default();
            traffic.take(&sent("7.2", 2.0, "POST", ORDER));
            let end = traffic.take(&happened("Network.loadingFailed", "7.2", 3.0, how));
            end.expect("it has ended").end
        };
        for unsent in [
            json!({ "errorText": "net::ERR_CONNECTION_REFUSED" }),
            json!({ "errorText": "net::ERR_CERT_DATE_INVALID" }),
            json!({ "errorText": "net::ERR_FAILED",
                    "corsErrorStatus": { "corsError": "PreflightMissingAllowOriginHeader" } }),
            json!({ "errorText": "", "blockedReason": "csp" }),
        ] {
            let end = end_of(unsent.clone());
            assert!(matches!(end, End::Failed(Seen::NotSent { .. })), "{unsent}");
        }
        for doubtful in [
            json!({ "errorText": "net::ERR_ABORTED", "canceled": true }),
            json!({ "errorText": "net::ERR_CONNECTION_RESET" }),
            json!({ "errorText": "net::ERR_FAILED",
                    "corsErrorStatus": { "corsError": "MissingAllowOriginHeader" } }),
        ] {
            let end = end_of(doubtful.clone());
            assert!(
                matches!(end, End::Failed(Seen::NoAnswer { .. })),
                "{doubtful}"
            );
        }
    }

    #[test]
    fn what_is_under_way_when_the_browser_is_closed_is_in_doubt() {
        let mut traffic = Traffic::default();
        traffic.take(&sent("7.2", 2.0, "POST", ORDER));
        let left = traffic.abandon();
        assert!(matches!(left[0].end, End::Failed(Seen::NoAnswer { .. })));
    }
}
