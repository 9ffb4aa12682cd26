//! What a token must say. Pure: the caller says what time it is.

use std::time::Duration;

use serde::Deserialize;

use super::Expected;

/// Longest name of a customer that is passed on, in bytes.
const SUBJECT_LIMIT: usize = 128;

/// What a token says, as far as it matters. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Claims {
    /// Who issued it.
    #[serde(default)]
    iss: String,
    /// Whom it is for.
    #[serde(default)]
    aud: Audience,
    /// The customer.
    #[serde(default)]
    sub: String,
    /// When it stops being good; a token that is good for ever is not good.
    exp: Option<f64>,
    /// When it begins to be good.
    nbf: Option<f64>,
}

/// One name or several (RFC 7519, section 4.1.3).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

/// What is wrong with what a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Somebody else issued it.
    #[error("the token was issued by somebody else")]
    Issuer,
    /// It is for somebody else.
    #[error("the token is not for this API")]
    Audience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not good yet")]
    NotYet,
    /// It names no customer.
    #[error("the token names no customer")]
    Subject,
}

impl Claims {
    /// The customer, if the token is good at `since_1970`.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn customer(self, expected: &Expected, since_1970: Duration) -> Result<String, Doubt> {
        if self.iss != expected.issuer {
            return Err(Doubt::Issuer);
        }
        let is_meant = match &self.aud {
            Audience::One(name) => *name == expected.audience,
            Audience::Several(names) => names.contains(&expected.audience),
        };
        if !is_meant {
            return Err(Doubt::Audience);
        }
        let (now_s, leeway_s) = (since_1970.as_secs_f64(), expected.leeway.as_secs_f64());
        if !self.exp.is_some_and(|exp| now_s < exp + leeway_s) {
            return Err(Doubt::Expired);
        }
        if self.nbf.is_some_and(|nbf| now_s + leeway_s < nbf) {
            return Err(Doubt::NotYet);
        }
        let fits = !self.sub.is_empty()
            && self.sub.len() <= SUBJECT_LIMIT
            && self.sub.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(self.sub)
        } else {
            Err(Doubt::Subject)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn asked(json: &str) -> Result<String, Doubt> {
        let expected = Expected {
            issuer: "i".to_owned(),
            audience: "a".to_owned(),
            leeway: Duration::from_secs(5),
        };
        let claims: Claims = serde_json::from_str(json).expect("claims");
        claims.customer(&expected, NOW)
    }

    #[test]
    fn a_good_token_names_its_customer() {
        for aud in [r#""a""#, r#"["b","a"]"#] {
            let json = format!(r#"{{"iss":"i","aud":{aud},"sub":"c-1","exp":1000010}}"#);
            assert_eq!(asked(&json), Ok("c-1".to_owned()), "{aud}");
        }
    }

    #[test]
    fn everything_that_is_wrong_has_its_name() {
        for (json, doubt) in [
            (
                r#"{"iss":"x","aud":"a","sub":"c","exp":1000010}"#,
                Doubt::Issuer,
            ),
            (r#"{"aud":"a","sub":"c","exp":1000010}"#, Doubt::Issuer),
            (
                r#"{"iss":"i","aud":"b","sub":"c","exp":1000010}"#,
                Doubt::Audience,
            ),
            (
                r#"{"iss":"i","aud":[],"sub":"c","exp":1000010}"#,
                Doubt::Audience,
            ),
            (r#"{"iss":"i","sub":"c","exp":1000010}"#, Doubt::Audience),
            (
                r#"{"iss":"i","aud":"a","sub":"c","exp":999995}"#,
                Doubt::Expired,
            ),
            (r#"{"iss":"i","aud":"a","sub":"c"}"#, Doubt::Expired),
            (
                r#"{"iss":"i","aud":"a","sub":"c","exp":1000010,"nbf":1000006}"#,
                Doubt::NotYet,
            ),
            (
                r#"{"iss":"i","aud":"a","sub":"","exp":1000010}"#,
                Doubt::Subject,
            ),
            (
                r#"{"iss":"i","aud":"a","sub":"a b","exp":1000010}"#,
                Doubt::Subject,
            ),
        ] {
            assert_eq!(asked(json), Err(doubt), "{json}");
        }
    }

    #[test]
    fn clocks_may_differ_a_little() {
        let late = r#"{"iss":"i","aud":"a","sub":"c","exp":999996}"#;
        assert_eq!(asked(late), Ok("c".to_owned()));
        let early = r#"{"iss":"i","aud":"a","sub":"c","exp":1000010,"nbf":1000005}"#;
        assert_eq!(asked(early), Ok("c".to_owned()));
    }
}
