//! Who asks: tokens of the identity provider, and what is believed of them.
//!
//! * [`claims`]: what a token must say
//! * [`keys`]: the keys that tokens are checked with, and how they are kept fresh

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use service_kit::http::{ApiError, Deadline};
use service_kit::token::{TokenError, Unverified};

use claims::{Claims, Doubt};
use keys::{Keys, NoKey};

pub mod claims;
pub mod keys;

/// Whose tokens are good, and for how long after their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// `iss` of good tokens.
    pub issuer: String,
    /// One of the `aud` of good tokens.
    pub audience: String,
    /// What clocks may differ.
    pub leeway: Duration,
}

/// Checks tokens.
pub struct Verifier {
    expected: Expected,
    keys: Arc<Keys>,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no token.
    #[error("this needs a token: send `Authorization: Bearer TOKEN`")]
    Missing,
    /// The token itself.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// What it says.
    #[error(transparent)]
    Claims(#[from] Doubt),
    /// No key of this name is published.
    #[error("the token is signed with a key that the identity provider does not publish")]
    UnknownKey,
    /// The identity provider has not been reached, so nothing can be said about the token.
    #[error("the token cannot be checked now: the identity provider cannot be reached")]
    Unavailable,
}

impl Refusal {
    /// The word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Token(TokenError::Malformed) => "token_malformed",
            Self::Token(TokenError::Algorithm) => "token_algorithm",
            Self::Token(TokenError::Signature) => "token_signature",
            Self::Claims(Doubt::Issuer) => "token_issuer",
            Self::Claims(Doubt::Audience) => "token_audience",
            Self::Claims(Doubt::Expired) => "token_expired",
            Self::Claims(Doubt::NotYet) => "token_not_yet_valid",
            Self::Claims(Doubt::Subject) => "token_subject",
            Self::UnknownKey => "token_unknown_key",
            Self::Unavailable => "keys_unavailable",
        }
    }

    /// What the client is told with `WWW-Authenticate` (RFC 6750, section 3); none where its token is not to blame.
    pub fn challenge(self) -> Option<HeaderValue> {
        let text = match self {
            Self::Unavailable => return None,
            Self::Missing => "Bearer".to_owned(),
            told => format!("Bearer error=\"invalid_token\", error_description=\"{told}\""),
        };
        HeaderValue::from_str(&text).ok()
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Unavailable => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, refusal.code(), message)
                    .retry_after(Duration::from_secs(1))
            }
            _ => Self::new(StatusCode::UNAUTHORIZED, refusal.code(), message),
        }
    }
}

impl Verifier {
    /// A verifier with these keys.
    pub fn new(expected: Expected, keys: Arc<Keys>) -> Self {
        Self { expected, keys }
    }

    /// The customer whose token a request carries. Waits, until `deadline` at most, when the token's key has to be fetched.
    ///
    /// # Errors
    /// Why the token is not believed.
    pub async fn customer(
        &self,
        headers: &HeaderMap,
        deadline: Deadline,
    ) -> Result<String, Refusal> {
        let token = Unverified::read(bearer(headers)?)?;
        let kid = token.kid().ok_or(TokenError::Malformed)?;
        let found = deadline.bound(self.keys.find(kid)).await;
        let key = match found {
            Ok(Ok(key)) => key,
            Ok(Err(NoKey::Unknown)) => return Err(Refusal::UnknownKey),
            Ok(Err(NoKey::Unavailable)) | Err(_) => return Err(Refusal::Unavailable),
        };
        let claims: Claims = token.verify(&key)?;
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(claims.customer(&self.expected, since_1970)?)
    }
}

/// The token of an `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let value = headers.get(header::AUTHORIZATION).ok_or(Refusal::Missing)?;
    let text = value.to_str().map_err(|_| TokenError::Malformed)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Refusal::Missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_a_token() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, text.parse().expect("a value"));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer abc"), Ok("abc".to_owned()));
        assert_eq!(of("bearer  abc "), Ok("abc".to_owned()));
        assert_eq!(of("Basic abc"), Err(Refusal::Missing));
        assert_eq!(of("abc"), Err(Refusal::Missing));
        assert_eq!(bearer(&HeaderMap::new()), Err(Refusal::Missing));
    }

    #[test]
    fn only_tokens_that_are_to_blame_are_challenged() {
        assert_eq!(
            Refusal::Missing.challenge(),
            Some(HeaderValue::from_static("Bearer"))
        );
        let expired = Refusal::Claims(Doubt::Expired)
            .challenge()
            .expect("a challenge");
        let text = expired.to_str().expect("text");
        assert!(text.starts_with("Bearer error=\"invalid_token\""), "{text}");
        assert_eq!(Refusal::Unavailable.challenge(), None);
        assert_eq!(
            ApiError::from(Refusal::Unavailable).status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
}
