//! The key that makes the repetition of a request harmless.

use axum::http::HeaderMap;
use sqlx::PgConnection;
use thiserror::Error;

/// Longest accepted key, in characters.
pub const KEY_LIMIT: usize = 255;

/// The key is empty, too long or not visible ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("Idempotency-Key must be 1 to {KEY_LIMIT} visible characters")]
pub struct InvalidKey;

/// The key in a request's headers, if it has one.
///
/// # Errors
/// [`InvalidKey`].
pub fn key_of(headers: &HeaderMap) -> Result<Option<String>, InvalidKey> {
    headers
        .get("idempotency-key")
        .map(|value| check_key(value.as_bytes()))
        .transpose()
}

/// Checks a key as it came in the header.
///
/// # Errors
/// [`InvalidKey`].
pub fn check_key(key: &[u8]) -> Result<String, InvalidKey> {
    if key.is_empty() || key.len() > KEY_LIMIT || !key.iter().all(u8::is_ascii_graphic) {
        return Err(InvalidKey);
    }
    String::from_utf8(key.to_vec()).map_err(|_| InvalidKey)
}

/// Lines up the requests that carry the same key; held until the transaction ends.
///
/// # Errors
/// The database could not be asked.
pub async fn lock_key(connection: &mut PgConnection, key: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(key)
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_visible_text() {
        assert_eq!(check_key(b"order:charge"), Ok("order:charge".to_owned()));
        assert_eq!(check_key(b""), Err(InvalidKey));
        assert_eq!(check_key(b"two words"), Err(InvalidKey));
        assert_eq!(check_key(&[b'k'; KEY_LIMIT + 1]), Err(InvalidKey));
    }
}
