//! What may be asked of the identity provider, what a token says, and what can be wrong with one. Pure.

use serde::{Deserialize, Serialize};
use service_kit::token::{KeyError, SigningKey, part};
use thiserror::Error;
use uuid::Uuid;

use super::TokenSettings;
use crate::script::RequestKind;

/// Longest name of a customer, in characters.
const CUSTOMER_LIMIT: usize = 64;
/// Longest password, in bytes.
const PASSWORD_LIMIT: usize = 128;

/// What is asked of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// A token.
    Token,
    /// The key set.
    Keys,
    /// What the provider offers, and where.
    Configuration,
}

impl RequestKind for Ask {}

impl Ask {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Keys => "keys",
            Self::Configuration => "configuration",
        }
    }
}

/// Body of `POST /token`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Who asks; `username` in RFC 6749.
    #[serde(alias = "username")]
    pub customer_id: String,
    /// How the customer proves it; the first password of a new customer is the one that is kept.
    pub password: String,
}

/// Why a request is wrong in itself; repeating it cannot help.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    /// The customer's name is empty, too long, or no visible text.
    #[error("customer_id must have 1 to {CUSTOMER_LIMIT} visible characters")]
    Customer,
    /// The password is empty or too long.
    #[error("password must have 1 to {PASSWORD_LIMIT} bytes")]
    Password,
    /// The body is not the JSON that was expected.
    #[error("{0}")]
    Body(String),
}

impl TokenRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let request: Self =
            serde_json::from_slice(body).map_err(|error| Invalid::Body(error.to_string()))?;
        check_customer(&request.customer_id)?;
        if request.password.is_empty() || request.password.len() > PASSWORD_LIMIT {
            return Err(Invalid::Password);
        }
        Ok(request)
    }
}

/// Checks a customer's name: it will stand in headers.
///
/// # Errors
/// [`Invalid::Customer`].
pub fn check_customer(name: &str) -> Result<(), Invalid> {
    let fits = !name.is_empty()
        && name.len() <= CUSTOMER_LIMIT
        && name.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(()) } else { Err(Invalid::Customer) }
}

/// What a token says. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// The customer.
    pub sub: String,
    /// When it was issued.
    pub iat: u64,
    /// When it stops being good.
    pub exp: u64,
}

impl Claims {
    /// What a good token for `customer` says at `now`.
    pub fn new(settings: &TokenSettings, customer: &str, now: u64) -> Self {
        Self {
            iss: settings.issuer.clone(),
            aud: settings.audience.clone(),
            sub: customer.to_owned(),
            iat: now,
            exp: now.saturating_add(settings.lifetime_s.get()),
        }
    }
}

/// What is wrong with a token that an attacker uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// It was good once.
    Expired,
    /// It was issued for somebody else's API.
    WrongAudience,
    /// It was issued by somebody else, as it says itself.
    WrongIssuer,
    /// It names the right key and is signed with another one.
    WrongSignature,
    /// It says that it needs no signature, and has none.
    AlgNone,
    /// It is signed with a key that nobody published.
    UnknownKid,
}

/// How long ago an expired token stopped being good, in seconds.
const EXPIRED_SINCE_S: u64 = 3_600;

/// A token with a flaw, for attackers.
///
/// # Errors
/// The system has no randomness.
pub fn flawed(flaw: Flaw, mut claims: Claims, key: &SigningKey) -> Result<String, KeyError> {
    let stranger = |kid: &str| SigningKey::from_pkcs8(kid, &SigningKey::generate_pkcs8()?);
    match flaw {
        Flaw::Expired => {
            claims.exp = claims.iat.saturating_sub(EXPIRED_SINCE_S);
            claims.iat = claims.exp.saturating_sub(EXPIRED_SINCE_S);
            key.sign(&claims)
        }
        Flaw::WrongAudience => {
            claims.aud = "https://somebody-elses-api.example".to_owned();
            key.sign(&claims)
        }
        Flaw::WrongIssuer => {
            claims.iss = "https://somebody-else.example".to_owned();
            key.sign(&claims)
        }
        Flaw::WrongSignature => stranger(&key.jwk().kid)?.sign(&claims),
        Flaw::UnknownKid => stranger(&Uuid::now_v7().simple().to_string())?.sign(&claims),
        Flaw::AlgNone => {
            let header = serde_json::json!({ "alg": "none", "typ": "JWT" });
            Ok(format!("{}.{}.", part(&header)?, part(&claims)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_checked_field_by_field() {
        let parse = |body: &str| TokenRequest::parse(body.as_bytes()).map(|_| ());
        assert_eq!(parse(r#"{"customer_id":"c-1","password":"p"}"#), Ok(()));
        assert_eq!(parse(r#"{"username":"c-1","password":"p"}"#), Ok(()));
        assert_eq!(
            parse(r#"{"customer_id":"","password":"p"}"#),
            Err(Invalid::Customer)
        );
        assert_eq!(
            parse(r#"{"customer_id":"two words","password":"p"}"#),
            Err(Invalid::Customer)
        );
        assert_eq!(
            parse(r#"{"customer_id":"c-1","password":""}"#),
            Err(Invalid::Password)
        );
        assert!(matches!(parse("{}"), Err(Invalid::Body(_))));
        let more = parse(r#"{"customer_id":"c","password":"p","admin":true}"#);
        assert!(matches!(more, Err(Invalid::Body(text)) if text.contains("admin")));
    }
}
