//! What may be asked of the provider, and what makes a request wrong. Pure.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::script::RequestKind;

/// Longest accepted name (recipient, template, reference, kind), in characters.
pub const NAME_LIMIT: usize = 254;
/// Longest accepted subject, in characters.
pub const SUBJECT_LIMIT: usize = 200;
/// Longest accepted body of an e-mail, in characters.
pub const EMAIL_LIMIT: usize = 8_000;
/// Longest accepted body of an SMS, in characters.
pub const SMS_LIMIT: usize = 480;
/// Digits of a telephone number behind its plus, at least and at most (ITU-T E.164 allows 15).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// How a message reaches its recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// An e-mail.
    Email,
    /// A short message to a telephone.
    Sms,
}

impl RequestKind for Channel {}

impl Channel {
    /// The word in the mailbox and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
        }
    }
}

/// Body of `POST /messages`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageRequest {
    /// How it is delivered.
    pub channel: Channel,
    /// An e-mail address, or a telephone number in international form.
    pub recipient: String,
    /// The client's own name of the template, for its statistics.
    pub template: String,
    /// Subject of an e-mail; an SMS has none.
    pub subject: Option<String>,
    /// What is said.
    pub body: String,
    /// The client's own name for what it is about.
    pub reference: String,
    /// The client's own name for what is said.
    pub kind: String,
}

/// Why a request is wrong in itself; repeating it cannot help.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    /// A name is empty or too long.
    #[error("{0} must have 1 to {NAME_LIMIT} characters")]
    Name(&'static str),
    /// The recipient cannot be reached over this channel.
    #[error("recipient is no e-mail address")]
    Address,
    /// The recipient cannot be reached over this channel.
    #[error("recipient is no telephone number such as +4915550000001")]
    Telephone,
    /// An e-mail without a subject, or one that is too long.
    #[error("an e-mail needs a subject of 1 to {SUBJECT_LIMIT} characters")]
    Subject,
    /// An SMS with a subject.
    #[error("an SMS has no subject")]
    SubjectOfSms,
    /// There is nothing to say, or too much.
    #[error("body must have 1 to {0} characters")]
    BodyLength(usize),
    /// The body of the request is not the JSON that was expected.
    #[error("{0}")]
    Body(String),
}

impl MessageRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let request: Self =
            serde_json::from_slice(body).map_err(|error| Invalid::Body(error.to_string()))?;
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), Invalid> {
        let names = [
            ("recipient", &self.recipient),
            ("template", &self.template),
            ("reference", &self.reference),
            ("kind", &self.kind),
        ];
        for (name, text) in names {
            if !has_length(text, NAME_LIMIT) {
                return Err(Invalid::Name(name));
            }
        }
        let body_limit = match self.channel {
            Channel::Email => self.check_email()?,
            Channel::Sms => self.check_sms()?,
        };
        if has_length(&self.body, body_limit) {
            Ok(())
        } else {
            Err(Invalid::BodyLength(body_limit))
        }
    }

    fn check_email(&self) -> Result<usize, Invalid> {
        let parts = self.recipient.split_once('@');
        let is_address = parts.is_some_and(|(local, domain)| {
            !local.is_empty() && domain.contains('.') && !domain.contains('@')
        });
        if !is_address || self.recipient.contains(char::is_whitespace) {
            return Err(Invalid::Address);
        }
        let has_subject = self
            .subject
            .as_deref()
            .is_some_and(|subject| has_length(subject, SUBJECT_LIMIT));
        if !has_subject {
            return Err(Invalid::Subject);
        }
        Ok(EMAIL_LIMIT)
    }

    fn check_sms(&self) -> Result<usize, Invalid> {
        let is_number = self.recipient.strip_prefix('+').is_some_and(|digits| {
            DIGITS.contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
        });
        if !is_number {
            return Err(Invalid::Telephone);
        }
        if self.subject.is_some() {
            return Err(Invalid::SubjectOfSms);
        }
        Ok(SMS_LIMIT)
    }
}

fn has_length(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.chars().count())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn email() -> Value {
        json!({
            "channel": "email", "recipient": "c-1@shop.example", "template": "v1/paid",
            "subject": "Thank you", "body": "It is paid.", "reference": "o-1", "kind": "paid",
        })
    }

    fn sms() -> Value {
        json!({
            "channel": "sms", "recipient": "+4915550000001", "template": "v1/paid",
            "body": "It is paid.", "reference": "o-1", "kind": "paid",
        })
    }

    fn parse_with(mut request: Value, field: &str, value: Value) -> Result<(), Invalid> {
        request[field] = value;
        MessageRequest::parse(request.to_string().as_bytes()).map(drop)
    }

    #[test]
    fn an_email_is_checked_field_by_field() {
        assert_eq!(parse_with(email(), "kind", json!("paid")), Ok(()));
        for nobody in ["c-1", "@shop.example", "c-1@shop", "c 1@shop.example"] {
            let parsed = parse_with(email(), "recipient", json!(nobody));
            assert_eq!(parsed, Err(Invalid::Address), "{nobody}");
        }
        assert_eq!(
            parse_with(email(), "recipient", json!("")),
            Err(Invalid::Name("recipient"))
        );
        assert_eq!(
            parse_with(email(), "subject", json!("")),
            Err(Invalid::Subject)
        );
        assert_eq!(
            parse_with(email(), "subject", Value::Null),
            Err(Invalid::Subject)
        );
        assert_eq!(
            parse_with(email(), "body", json!("")),
            Err(Invalid::BodyLength(EMAIL_LIMIT))
        );
        assert!(matches!(
            parse_with(email(), "reply_to", json!("x")),
            Err(Invalid::Body(text)) if text.contains("reply_to")
        ));
    }

    #[test]
    fn an_sms_goes_to_a_number_and_is_short() {
        assert_eq!(parse_with(sms(), "kind", json!("paid")), Ok(()));
        for nobody in ["4915550000001", "+49", "+49155x000001", "c-1@shop.example"] {
            let parsed = parse_with(sms(), "recipient", json!(nobody));
            assert_eq!(parsed, Err(Invalid::Telephone), "{nobody}");
        }
        assert_eq!(
            parse_with(sms(), "subject", json!("Thank you")),
            Err(Invalid::SubjectOfSms)
        );
        assert_eq!(
            parse_with(sms(), "body", json!("x".repeat(SMS_LIMIT + 1))),
            Err(Invalid::BodyLength(SMS_LIMIT))
        );
    }
}
