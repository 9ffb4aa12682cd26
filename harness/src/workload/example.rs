//! What a customer sends, as a command that a person can type.

use std::path::Path;

use super::{client::order_body, generator::Intent, identity::token_body};

/// The commands that get a token where there is an issuer of tokens, place an order and look at it: `curl` with the drill's
/// certificate authority.
pub fn curl_commands(
    intent: &Intent,
    entry_url: &str,
    issuer_url: Option<&str>,
    certificate_authority: &Path,
) -> Vec<String> {
    let authority = quoted(&certificate_authority.display().to_string());
    let curl = format!("curl --cacert {authority}");
    let json = "-H 'content-type: application/json'";
    let mut commands = Vec::new();
    let mut who = format!(
        "-H {}",
        quoted(&format!("x-client-id: {}", intent.customer))
    );
    if let Some(issuer) = issuer_url {
        let body = quoted(&token_body(&intent.customer).to_string());
        let url = quoted(&format!("{issuer}/token"));
        commands.push(format!(
            "TOKEN=$({curl} --silent {json} -d {body} {url} | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        ));
        who.push_str(" -H \"authorization: Bearer $TOKEN\"");
    }
    let key = intent
        .idempotency_key
        .as_ref()
        .map_or_else(String::new, |key| {
            format!(" -H {}", quoted(&format!("idempotency-key: {key}")))
        });
    let body = quoted(&order_body(intent).to_string());
    let url = quoted(&format!("{entry_url}/orders"));
    commands.push(format!("{curl} {json} {who}{key} -d {body} {url}"));
    commands.push(format!("{curl} {who} {entry_url}/orders/ORDER_ID"));
    commands
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
