//! What the answers of systems that are not ours have in common, for whoever calls them.

use std::time::Duration;

/// Longest time that a Retry-After is believed.
pub const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(60);
/// Wait where a Retry-After is missing or says no number of seconds.
const RETRY_AFTER_UNSAID: Duration = Duration::from_secs(1);
/// Longest part of a body that is quoted, in characters.
const QUOTE_LIMIT: usize = 120;

/// How long to wait as a `Retry-After` in seconds asks for (RFC 9110, section 10.2.3), within [`RETRY_AFTER_LIMIT`].
pub fn retry_after(header: Option<&str>) -> Duration {
    let said = header.and_then(|text| text.trim().parse().ok());
    said.map_or(RETRY_AFTER_UNSAID, Duration::from_secs)
        .min(RETRY_AFTER_LIMIT)
}

/// The beginning of a body, for a sentence that says what was answered.
pub fn quote(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .chars()
        .take(QUOTE_LIMIT)
        .collect()
}
