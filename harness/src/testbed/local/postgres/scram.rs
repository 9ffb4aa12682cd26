//! Passwords that cost nothing to check.
//!
//! SCRAM makes guessing a weak password slow by hashing it thousands of times, at every new connection. Ours are 192
//! random bits, which nobody guesses, so one round is as good, and a drill opens its forty connections at once instead
//! of spending seconds of both cores on hashing. Clients take the number of rounds from the server.

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{digest, hmac, rand::SecureRandom, rand::SystemRandom};

use crate::testbed::TestbedError;

const ROUNDS: u32 = 1;
const SALT_BYTES: usize = 16;
const PASSWORD_BYTES: usize = 24;

/// A random password, of letters, digits, `-` and `_`, so that it needs no escaping in a URL.
pub(super) fn random_password() -> Result<String, TestbedError> {
    Ok(URL_SAFE_NO_PAD.encode(random::<PASSWORD_BYTES>()?))
}

/// What PostgreSQL stores for a password, as `CREATE ROLE ... PASSWORD` and `initdb --pwfile` take it.
pub(super) fn verifier(password: &str) -> Result<String, TestbedError> {
    Ok(verifier_with(password, &random::<SALT_BYTES>()?))
}

fn verifier_with(password: &str, salt: &[u8]) -> String {
    // RFC 5802: SaltedPassword := Hi(password, salt, i); with one round Hi is HMAC(password, salt + INT(1)).
    let salted = sign(password.as_bytes(), &[salt, &ROUNDS.to_be_bytes()].concat());
    let client = sign(salted.as_ref(), b"Client Key");
    let stored = digest::digest(&digest::SHA256, client.as_ref());
    let server = sign(salted.as_ref(), b"Server Key");
    format!(
        "SCRAM-SHA-256${ROUNDS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored.as_ref()),
        STANDARD.encode(server.as_ref())
    )
}

fn sign(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], TestbedError> {
    let mut bytes = [0; BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| TestbedError::Failed {
            doing: "making a password".to_owned(),
            reason: "the system gives no random bytes".to_owned(),
        })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_need_no_escaping() {
        let (one, other) = (
            random_password().expect("random"),
            random_password().expect("random"),
        );
        assert_ne!(one, other);
        assert!(
            one.chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        );
    }

    #[test]
    fn a_verifier_has_the_form_that_the_server_parses() {
        let verifier = verifier_with("secret", &[7; SALT_BYTES]);
        assert_eq!(verifier, verifier_with("secret", &[7; SALT_BYTES]));
        assert_ne!(verifier, verifier_with("Secret", &[7; SALT_BYTES]));
        let (head, keys) = verifier.rsplit_once('$').expect("two parts");
        assert!(head.starts_with("SCRAM-SHA-256$1:"));
        assert_eq!(keys.split(':').count(), 2);
    }
}
