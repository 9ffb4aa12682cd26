//! Signed tokens: JSON Web Tokens in compact form, signed with ES256 and nothing else (RFC 7515, 7517, 7518, 7519).
//!
//! The algorithm is this module's, never the token's: a token that names another one, or none, is refused before any key
//! is looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The one algorithm: ECDSA on P-256 with SHA-256.
const ALGORITHM: &str = "ES256";
/// Longer tokens are refused unread, in bytes.
const TOKEN_LIMIT: usize = 8 * 1024;
/// Length of a coordinate on P-256, in bytes.
const COORDINATE: usize = 32;

/// A key could not be made, read or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a signing key could not be {0}")]
pub struct KeyError(&'static str);

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not three parts of base64url, or its header or claims are not the JSON that they must be.
    #[error("the token cannot be read")]
    Malformed,
    /// It wants another algorithm than ES256.
    #[error("the token is not signed with ES256")]
    Algorithm,
    /// The signature is not that of the key.
    #[error("the token's signature is wrong")]
    Signature,
}

/// A public key as key sets publish it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// Type of the key; only `EC` is understood.
    pub kty: String,
    /// The curve; only `P-256` is understood.
    #[serde(default)]
    pub crv: String,
    /// First coordinate, base64url.
    #[serde(default)]
    pub x: String,
    /// Second coordinate, base64url.
    #[serde(default)]
    pub y: String,
    /// The key's name.
    #[serde(default)]
    pub kid: String,
    /// The algorithm it is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// What it is meant for; only `sig` is understood.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
}

/// A key set, as it is published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// A private key with its name.
pub struct SigningKey {
    kid: String,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

#[derive(Serialize)]
struct NewHeader<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

impl SigningKey {
    /// Makes a private key, in PKCS#8.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate_pkcs8() -> Result<Vec<u8>, KeyError> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| KeyError("made: the system has no randomness"))
    }

    /// Reads a private key in PKCS#8.
    ///
    /// # Errors
    /// It is none, or none on P-256.
    pub fn from_pkcs8(kid: impl Into<String>, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
            .map_err(|_| KeyError("read: it is no private key on P-256 in PKCS#8"))?;
        Ok(Self {
            kid: kid.into(),
            pair,
            random,
        })
    }

    /// The public half.
    pub fn jwk(&self) -> Jwk {
        // A public key of P-256 is 4, then the two coordinates.
        let coordinates = &self.pair.public_key().as_ref()[1..];
        let (x, y) = coordinates.split_at(COORDINATE);
        Jwk {
            kty: "EC".to_owned(),
            crv: "P-256".to_owned(),
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
            kid: self.kid.clone(),
            alg: Some(ALGORITHM.to_owned()),
            usage: Some("sig".to_owned()),
        }
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// The claims are not JSON, or the system has no randomness.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, KeyError> {
        let header = NewHeader {
            alg: ALGORITHM,
            typ: "JWT",
            kid: &self.kid,
        };
        let signed = format!("{}.{}", part(&header)?, part(claims)?);
        let signature = self
            .pair
            .sign(&self.random, signed.as_bytes())
            .map_err(|_| KeyError("used: the system has no randomness"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// A value as one part of a token: JSON in base64url.
///
/// # Errors
/// It cannot be written as JSON.
pub fn part(value: &impl Serialize) -> Result<String, KeyError> {
    let json = serde_json::to_vec(value).map_err(|_| KeyError("used: the claims are not JSON"))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// A public key that tokens are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    point: Vec<u8>,
}

impl VerifyingKey {
    /// Reads a published key; none when it is not meant for signatures with ES256.
    pub fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let fits = jwk.kty == "EC"
            && jwk.crv == "P-256"
            && jwk.alg.as_deref().is_none_or(|alg| alg == ALGORITHM)
            && jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        if !fits {
            return None;
        }
        let mut point = vec![4];
        for coordinate in [&jwk.x, &jwk.y] {
            let bytes = URL_SAFE_NO_PAD.decode(coordinate).ok()?;
            if bytes.len() != COORDINATE {
                return None;
            }
            point.extend(bytes);
        }
        Some(Self { point })
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that must be understood; this module understands none.
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// A token that was taken apart and not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<'a> {
    signed: &'a str,
    kid: Option<String>,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// It cannot be read, or wants another algorithm.
    pub fn read(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_LIMIT {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let decoded = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| TokenError::Malformed)
        };
        let header: Header =
            serde_json::from_slice(&decoded(header)?).map_err(|_| TokenError::Malformed)?;
        if header.alg != ALGORITHM {
            return Err(TokenError::Algorithm);
        }
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        Ok(Self {
            signed,
            kid: header.kid,
            claims: decoded(claims)?,
            signature: decoded(signature)?,
        })
    }

    /// Name of the key that it says it was signed with.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The claims, once the signature has been found to be the key's.
    ///
    /// # Errors
    /// The signature is wrong, or the claims are not what was expected.
    pub fn verify<C: DeserializeOwned>(&self, key: &VerifyingKey) -> Result<C, TokenError> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key.point)
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_| TokenError::Signature)?;
        serde_json::from_slice(&self.claims).map_err(|_| TokenError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key(kid: &str) -> SigningKey {
        let pkcs8 = SigningKey::generate_pkcs8().expect("a key");
        SigningKey::from_pkcs8(kid, &pkcs8).expect("a key")
    }

    fn verified(token: &str, jwk: &Jwk) -> Result<Value, TokenError> {
        let key = VerifyingKey::from_jwk(jwk).expect("a key for ES256");
        Unverified::read(token)?.verify(&key)
    }

    #[test]
    fn a_token_is_believed_with_its_own_key_only() {
        let (own, other) = (key("a"), key("a"));
        let token = own.sign(&json!({ "sub": "c-1" })).expect("signed");
        assert_eq!(Unverified::read(&token).expect("read").kid(), Some("a"));
        assert_eq!(verified(&token, &own.jwk()), Ok(json!({ "sub": "c-1" })));
        assert_eq!(verified(&token, &other.jwk()), Err(TokenError::Signature));
    }

    /// The example of RFC 7515, appendix A.3.
    #[test]
    fn the_example_of_the_standard_is_believed() {
        let jwk: Jwk = serde_json::from_value(json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }))
        .expect("a key");
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p\
                     c19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-K\
                     g6NU1Q";
        let claims = verified(token, &jwk).expect("believed");
        assert_eq!(claims["iss"], "joe");
    }

    #[test]
    fn whatever_was_changed_is_noticed() {
        let key = key("a");
        let token = key.sign(&json!({ "sub": "c-1" })).expect("signed");
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let (header, _) = signed.split_once('.').expect("three parts");
        let other = part(&json!({ "sub": "c-2" })).expect("JSON");
        let swapped = format!("{header}.{other}.{signature}");
        assert_eq!(verified(&swapped, &key.jwk()), Err(TokenError::Signature));
        let unsigned = format!("{signed}.");
        assert_eq!(verified(&unsigned, &key.jwk()), Err(TokenError::Signature));
    }

    #[test]
    fn the_algorithm_is_not_the_tokens_to_choose() {
        let claims = part(&json!({ "sub": "c-1" })).expect("JSON");
        for alg in ["none", "None", "HS256", "RS256", "ES384", "es256"] {
            let header = part(&json!({ "alg": alg, "kid": "a" })).expect("JSON");
            let token = format!("{header}.{claims}.");
            assert_eq!(
                Unverified::read(&token),
                Err(TokenError::Algorithm),
                "{alg}"
            );
        }
        let header = part(&json!({ "alg": "ES256", "crit": ["exp"] })).expect("JSON");
        let critical = format!("{header}.{claims}.AAAA");
        assert_eq!(Unverified::read(&critical), Err(TokenError::Malformed));
    }

    #[test]
    fn nonsense_is_no_token() {
        let long = "a".repeat(TOKEN_LIMIT + 1);
        for text in ["", ".", "..", "a.b", "a.b.c", "e30.e30.e30", &long] {
            assert_eq!(Unverified::read(text), Err(TokenError::Malformed), "{text}");
        }
    }

    #[test]
    fn keys_for_something_else_are_not_used() {
        let good = key("a").jwk();
        let with = |change: fn(&mut Jwk)| {
            let mut jwk = good.clone();
            change(&mut jwk);
            VerifyingKey::from_jwk(&jwk)
        };
        assert!(with(|_| {}).is_some());
        assert!(with(|jwk| jwk.kty = "RSA".to_owned()).is_none());
        assert!(with(|jwk| jwk.crv = "P-384".to_owned()).is_none());
        assert!(with(|jwk| jwk.alg = Some("ES384".to_owned())).is_none());
        assert!(with(|jwk| jwk.usage = Some("enc".to_owned())).is_none());
        assert!(with(|jwk| jwk.x = "AAAA".to_owned()).is_none());
    }
}
