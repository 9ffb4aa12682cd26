//! What a customer sends to place an order: refused with the offending field wherever it does not fit.

use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_kit::http::{ApiError, json};
use uuid::Uuid;

use crate::domain::{LINES_LIMIT, NOTE_LIMIT, QUANTITY_LIMIT, REFERENCE_LIMIT, ShownPrice};

/// Name of the header with the idempotency key.
pub const KEY_HEADER: &str = "idempotency-key";
/// Name of the header with the customer whose token the gateway has checked.
pub const CUSTOMER_HEADER: &str = "x-customer-id";
/// Length of an idempotency key at most, in bytes.
pub const KEY_LIMIT: usize = 128;
/// Length of a customer's or product's id at most, in characters.
const ID_LIMIT: usize = 64;
/// Namespace of the hashes of requests.
const REQUESTS: Uuid = Uuid::from_u128(0x4f3c_8a10_52de_4b7a_9d11_0c62_7be1_90aa);

/// The body of `POST /orders`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// The customer's own purchase reference.
    pub reference: String,
    /// Who orders.
    pub customer_id: String,
    /// What.
    pub lines: Vec<LineRequest>,
    /// What the customer wants to say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The sum that the customer was shown, in minor units; then the order is only taken at that price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<i64>,
    /// The currency that the customer was shown (ISO 4217); only together with the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// One line of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineRequest {
    /// The product.
    pub product_id: String,
    /// Units.
    pub quantity: i32,
}

impl OrderRequest {
    /// Reads a body that must fit exactly.
    ///
    /// # Errors
    /// 400 with the offending field.
    pub fn parse_strictly(body: &[u8]) -> Result<Self, ApiError> {
        let request: Self = json::parse(body)?;
        check_text(&request.reference, "reference", REFERENCE_LIMIT)?;
        check_text(&request.customer_id, "customer_id", ID_LIMIT)?;
        if request.lines.is_empty() || request.lines.len() > LINES_LIMIT {
            return Err(
                ApiError::invalid(format!("must have from 1 to {LINES_LIMIT} lines"))
                    .field("lines"),
            );
        }
        for (index, line) in request.lines.iter().enumerate() {
            check_text(
                &line.product_id,
                &format!("lines[{index}].product_id"),
                ID_LIMIT,
            )?;
            if !(1..=QUANTITY_LIMIT).contains(&line.quantity) {
                let message = format!("{} is not from 1 to {QUANTITY_LIMIT}", line.quantity);
                return Err(ApiError::invalid(message).field(format!("lines[{index}].quantity")));
            }
        }
        if let Some(note) = &request.note {
            check_note(note)?;
        }
        request.check_price()?;
        Ok(request)
    }

    fn check_price(&self) -> Result<(), ApiError> {
        let refusal = |message: &str, field: &str| Err(ApiError::invalid(message).field(field));
        match (self.amount_minor, &self.currency) {
            (Some(..0), _) => refusal("must not be negative", "amount_minor"),
            (None, Some(_)) => refusal("must be given where a currency is", "amount_minor"),
            (_, Some(code)) if !is_currency_code(code) => {
                refusal("must be three capital letters as in ISO 4217", "currency")
            }
            _ => Ok(()),
        }
    }

    /// What the customer was shown, if the request says so.
    pub fn shown_price(&self) -> Option<ShownPrice> {
        Some(ShownPrice {
            amount_minor: self.amount_minor?,
            currency: self.currency.clone(),
        })
    }

    /// Takes whatever can be read of a body, and leaves out what cannot.
    ///
    /// # Errors
    /// 400 when the body is not JSON at all.
    pub fn parse_leniently(body: &[u8]) -> Result<Self, ApiError> {
        let value: Value = json::parse(body)?;
        let text = |value: &Value, name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let line = |value: &Value| {
            let quantity = i32::try_from(value.get("quantity")?.as_i64()?).ok()?;
            Some(LineRequest {
                product_id: text(value, "product_id"),
                quantity,
            })
        };
        let lines = value
            .get("lines")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let lines = lines.iter().filter_map(line).collect();
        let maybe = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            reference: text(&value, "reference"),
            customer_id: text(&value, "customer_id"),
            lines,
            amount_minor: value.get("amount_minor").and_then(Value::as_i64),
            currency: maybe("currency"),
            note: maybe("note"),
        })
    }

    /// A hash of what is asked, the same for the same content whatever its spelling in JSON.
    pub fn hash(&self) -> String {
        let lines: Vec<_> = self
            .lines
            .iter()
            .map(|line| (&line.product_id, line.quantity))
            .collect();
        let canonical = format!(
            "{:?}|{:?}|{lines:?}|{:?}|{:?}|{:?}",
            self.reference, self.customer_id, self.amount_minor, self.currency, self.note
        );
        Uuid::new_v5(&REQUESTS, canonical.as_bytes())
            .simple()
            .to_string()
    }
}

/// Reads the idempotency key.
///
/// # Errors
/// 400 when it is there but empty, too long, or no visible ASCII.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(KEY_HEADER) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= KEY_LIMIT => Ok(Some(key.to_owned())),
        _ => {
            let message = format!("must be 1 to {KEY_LIMIT} visible ASCII characters");
            Err(ApiError::invalid(message).field("Idempotency-Key"))
        }
    }
}

fn check_note(note: &str) -> Result<(), ApiError> {
    let refusal = |message: String| Err(ApiError::invalid(message).field("note"));
    if note.chars().count() > NOTE_LIMIT {
        return refusal(format!("must not have more than {NOTE_LIMIT} characters"));
    }
    // PostgreSQL has no place for NUL in a text.
    if note.contains('\0') {
        return refusal("must not hold the character NUL".to_owned());
    }
    Ok(())
}

fn is_currency_code(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Refuses an order in another customer's name. Only the gateway says who asks, and only where it checks tokens.
///
/// # Errors
/// 403 when the customer of the order is not the one who asks.
pub fn check_customer(headers: &HeaderMap, customer_id: &str) -> Result<(), ApiError> {
    let asks = headers.get(CUSTOMER_HEADER);
    if asks.is_none_or(|asks| asks.as_bytes() == customer_id.as_bytes()) {
        return Ok(());
    }
    let message = "an order can only be placed in one's own name";
    Err(ApiError::new(StatusCode::FORBIDDEN, "other_customer", message).field("customer_id"))
}

fn check_text(text: &str, field: &str, limit: usize) -> Result<(), ApiError> {
    if text.trim().is_empty() {
        return Err(ApiError::invalid("must not be empty").field(field));
    }
    if text.chars().count() > limit {
        return Err(
            ApiError::invalid(format!("must not have more than {limit} characters")).field(field),
        );
    }
    // PostgreSQL has no place for NUL in a text; other control characters have no meaning in an id.
    if text.chars().any(char::is_control) {
        return Err(ApiError::invalid("must not hold control characters").field(field));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nobody_orders_in_another_customers_name() {
        let mut headers = HeaderMap::new();
        assert_eq!(check_customer(&headers, "c-1"), Ok(()));
        headers.insert(CUSTOMER_HEADER, "c-1".parse().expect("a value"));
        assert_eq!(check_customer(&headers, "c-1"), Ok(()));
        let refused = check_customer(&headers, "c-2").expect_err("another customer");
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert_eq!(refused.offending_field(), Some("customer_id"));
    }

    fn offending(text: &str) -> String {
        let error = OrderRequest::parse_strictly(text.as_bytes()).expect_err(text);
        assert_eq!(error.status(), 400);
        error.offending_field().unwrap_or_default().to_owned()
    }

    fn body(lines: &str) -> String {
        format!(r#"{{"reference":"r","customer_id":"c","lines":{lines}}}"#)
    }

    fn priced(price: &str) -> String {
        let lines = r#"[{"product_id":"p","quantity":1}]"#;
        format!(r#"{{"reference":"r","customer_id":"c","lines":{lines},{price}}}"#)
    }

    #[test]
    fn what_the_customer_was_shown_is_read_and_belongs_to_the_request() {
        let read = |text: &str| OrderRequest::parse_strictly(text.as_bytes()).expect("good");
        let shown = |price: &str| read(&priced(price));
        let euros = shown(r#""amount_minor":150,"currency":"EUR""#);
        assert_eq!(
            euros.shown_price(),
            Some(ShownPrice {
                amount_minor: 150,
                currency: Some("EUR".into())
            })
        );
        assert_eq!(
            read(&body(r#"[{"product_id":"p","quantity":1}]"#)).shown_price(),
            None
        );
        assert_ne!(euros.hash(), shown(r#""amount_minor":151"#).hash());
    }

    #[test]
    fn a_good_request_is_read() {
        let request = OrderRequest::parse_strictly(
            body(r#"[{"product_id":"p-0001","quantity":1000}]"#).as_bytes(),
        );
        assert_eq!(request.expect("good").lines[0].quantity, 1000);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let cases = [
            (body("[]"), "lines"),
            (body("{}"), "lines"),
            (
                body(r#"[{"product_id":"p","quantity":0}]"#),
                "lines[0].quantity",
            ),
            (
                body(r#"[{"product_id":"p","quantity":1},{"product_id":"p","quantity":1001}]"#),
                "lines[1].quantity",
            ),
            (
                body(r#"[{"product_id":"p","quantity":"1"}]"#),
                "lines[0].quantity",
            ),
            (
                body(r#"[{"product_id":"p","quantity":1.5}]"#),
                "lines[0].quantity",
            ),
            (
                body(r#"[{"product_id":"","quantity":1}]"#),
                "lines[0].product_id",
            ),
            (
                body(r#"[{"product_id":"p","quantity":1,"price":0}]"#),
                "lines[0].price",
            ),
            (
                r#"{"reference":"","customer_id":"c","lines":[]}"#.to_owned(),
                "reference",
            ),
            (
                r#"{"reference":"a\u0000","customer_id":"c","lines":[]}"#.to_owned(),
                "reference",
            ),
            (
                r#"{"reference":7,"customer_id":"c","lines":[]}"#.to_owned(),
                "reference",
            ),
            (priced(r#""note":"a\u0000""#), "note"),
            (
                priced(&format!(r#""note":"{}""#, "n".repeat(20_001))),
                "note",
            ),
            (priced(r#""amount_minor":-1"#), "amount_minor"),
            (priced(r#""amount_minor":"1""#), "amount_minor"),
            (priced(r#""currency":"EUR""#), "amount_minor"),
            (priced(r#""amount_minor":1,"currency":"eur""#), "currency"),
        ];
        for (text, field) in cases {
            assert_eq!(offending(&text), field, "{text}");
        }
        let many = vec![r#"{"product_id":"p","quantity":1}"#; 51].join(",");
        assert_eq!(offending(&body(&format!("[{many}]"))), "lines");
    }

    #[test]
    fn leniently_a_partial_order_gets_through() {
        let text = body(r#"[{"product_id":"p","quantity":-3},{"product_id":"q","quantity":"x"}]"#);
        let request = OrderRequest::parse_leniently(text.as_bytes()).expect("JSON");
        assert_eq!(
            request.lines,
            [LineRequest {
                product_id: "p".into(),
                quantity: -3
            }]
        );
    }

    #[test]
    fn the_hash_follows_the_content_and_not_the_spelling() {
        let read = |text: &str| {
            OrderRequest::parse_strictly(text.as_bytes())
                .expect("good")
                .hash()
        };
        let spelled =
            r#"{"lines":[{"quantity":1,"product_id":"p"}], "customer_id":"c","reference":"r"}"#;
        assert_eq!(
            read(&body(r#"[{"product_id":"p","quantity":1}]"#)),
            read(spelled)
        );
        assert_ne!(
            read(&body(r#"[{"product_id":"p","quantity":2}]"#)),
            read(spelled)
        );
    }

    #[test]
    fn keys_are_bounded() {
        let key = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(KEY_HEADER, text.parse().expect("a header value"));
            idempotency_key(&headers)
        };
        assert_eq!(key("k-1"), Ok(Some("k-1".to_owned())));
        assert_eq!(idempotency_key(&HeaderMap::new()), Ok(None));
        assert!(key("").is_err());
        assert!(key(&"k".repeat(129)).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _either_way = OrderRequest::parse_strictly(&bytes);
            let _either_way = OrderRequest::parse_leniently(&bytes);
        }
    }
}
