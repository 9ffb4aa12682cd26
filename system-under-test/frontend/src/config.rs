//! The settings of the frontend.

use std::time::Duration;

use service_kit::defences::Defences;
use service_kit::http::TlsFiles;
use service_kit::settings::Settings;

use crate::defences::Defence;

/// The settings of the frontend.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the page is served.
    pub public: TlsFiles,
    /// Origin of the gateway as a customer's browser reaches it.
    pub gateway_url: String,
    /// Origin of the identity provider as a customer's browser reaches it; nobody has to sign in where there is none.
    pub identity_url: Option<String>,
    /// How long the page waits for the answer to a payment.
    pub pay_timeout: Duration,
    /// How long the page waits for any other answer.
    pub read_timeout: Duration,
    /// How often the page asks what has become of an order.
    pub status_interval: Duration,
    /// Which protections are on.
    pub defences: Defences<Defence>,
}

impl Config {
    /// Reads all settings.
    pub fn read(settings: &mut Settings) -> Self {
        let meaning =
            "the gateway's origin as a browser reaches it, such as https://127.0.0.1:8443";
        let gateway_url = settings.required_text("GATEWAY_URL", meaning);
        let identity_url = settings.text(
            "IDENTITY_URL",
            "",
            "the identity provider's origin, for browsers; nobody signs in without it",
        );
        for (name, url) in [
            ("GATEWAY_URL", &gateway_url),
            ("IDENTITY_URL", &identity_url),
        ] {
            if !url.is_empty() && !is_origin(url) {
                settings.problem(
                    name,
                    format!("`{url}` is not an origin such as https://127.0.0.1:8443"),
                );
            }
        }
        Self {
            public: TlsFiles::read(settings),
            gateway_url,
            identity_url: Some(identity_url).filter(|url| !url.is_empty()),
            pay_timeout: settings.duration_ms(
                "PAY_TIMEOUT_MS",
                10_000,
                "how long the page waits for the answer to a payment",
            ),
            read_timeout: settings.duration_ms(
                "READ_TIMEOUT_MS",
                5_000,
                "how long the page waits for any other answer",
            ),
            status_interval: settings.duration_ms(
                "STATUS_INTERVAL_MS",
                1_000,
                "how often the page asks what has become of an order",
            ),
            defences: settings.defences(),
        }
    }
}

/// `https://HOST[:PORT]` and nothing behind it: it becomes part of a header, and a browser compares it letter by letter.
fn is_origin(url: &str) -> bool {
    url.strip_prefix("https://").is_some_and(|host| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        !host.is_empty() && host.chars().all(allowed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origins_are_taken() {
        for good in [
            "https://127.0.0.1:8443",
            "https://shop.example",
            "https://[::1]:1",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "http://shop.example",
            "https://",
            "https://a/b",
            "https://a; script-src *",
            "a",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
