//! What a customer sends, as a command that a person can type.

use std::path::Path;

use super::{client::order_body, generator::Intent};

/// The commands that place an order and look at it: `curl` with the drill's certificate authority.
pub fn curl_commands(
    intent: &Intent,
    entry_url: &str,
    certificate_authority: &Path,
) -> [String; 2] {
    let authority = quoted(&certificate_authority.display().to_string());
    let mut headers = format!(
        "-H 'content-type: application/json' -H {}",
        quoted(&format!("x-client-id: {}", intent.customer))
    );
    if let Some(key) = &intent.idempotency_key {
        headers.push_str(&format!(
            " -H {}",
            quoted(&format!("idempotency-key: {key}"))
        ));
    }
    let body = quoted(&order_body(intent).to_string());
    let url = quoted(&format!("{entry_url}/orders"));
    [
        format!("curl --cacert {authority} {headers} -d {body} {url}"),
        format!("curl --cacert {authority} {entry_url}/orders/ORDER_ID"),
    ]
}

/// A word as a shell reads it literally.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_what_was_meant() {
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
