//! Starts one role of the external world: `external-world payment-provider`, `message-provider` or `identity-provider`.

use std::io::Write;
use std::process::ExitCode;

use external_world::{identity_provider, message_provider, payment_provider};

/// Exit code of a wrong command line (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;
const USAGE: &[u8] = b"usage: external-world payment-provider|message-provider|identity-provider\n";

fn main() -> ExitCode {
    let role = std::env::args().nth(1);
    match role.as_deref() {
        Some("payment-provider") => service_kit::service::run(
            "payment-provider",
            payment_provider::Config::read,
            payment_provider::start,
        ),
        Some("message-provider") => service_kit::service::run(
            "message-provider",
            message_provider::Config::read,
            message_provider::start,
        ),
        Some("identity-provider") => service_kit::service::run(
            "identity-provider",
            identity_provider::Config::read,
            identity_provider::start,
        ),
        _ => {
            // When standard error is closed the exit code has to do.
            let _written = std::io::stderr().write_all(USAGE);
            ExitCode::from(EXIT_USAGE)
        }
    }
}
