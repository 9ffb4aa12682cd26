//! Passwords, as they are kept: salted and hashed with PBKDF2 (RFC 8018), never in the clear.

use std::num::NonZeroU32;

use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use ring::rand::{SecureRandom, SystemRandom};

/// Length of a salt and of a hash, in bytes.
const LENGTH: usize = 32;

/// A password as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// What makes equal passwords different.
    pub salt: Vec<u8>,
    /// The hash.
    pub hash: Vec<u8>,
}

/// Hashes a new password; none when the system has no randomness. Takes long on purpose: not for an async thread.
pub fn keep(password: &str, rounds: NonZeroU32) -> Option<Kept> {
    let mut salt = vec![0; LENGTH];
    SystemRandom::new().fill(&mut salt).ok()?;
    let mut hash = vec![0; LENGTH];
    pbkdf2::derive(
        PBKDF2_HMAC_SHA256,
        rounds,
        &salt,
        password.as_bytes(),
        &mut hash,
    );
    Some(Kept { salt, hash })
}

/// Whether a password is the one that was kept. Takes long on purpose: not for an async thread.
pub fn fits(password: &str, kept: &Kept, rounds: NonZeroU32) -> bool {
    pbkdf2::verify(
        PBKDF2_HMAC_SHA256,
        rounds,
        &kept.salt,
        password.as_bytes(),
        &kept.hash,
    )
    .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_password_fits_and_equal_ones_look_different() {
        let rounds = NonZeroU32::MIN;
        let kept = keep("secret", rounds).expect("randomness");
        assert!(fits("secret", &kept, rounds));
        assert!(!fits("Secret", &kept, rounds));
        assert!(keep("secret", rounds).expect("randomness") != kept);
    }
}
