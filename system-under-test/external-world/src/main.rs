//! Starts one role of the external world: `external-world payment-provider`.

use std::io::Write;
use std::process::ExitCode;

use external_world::payment_provider;

/// Exit code of a wrong command line (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let role = std::env::args().nth(1);
    match role.as_deref() {
        Some("payment-provider") => service_kit::service::run(
            "payment-provider",
            payment_provider::Config::read,
            payment_provider::start,
        ),
        _ => {
            // When standard error is closed the exit code has to do.
            let _written = std::io::stderr().write_all(b"usage: external-world payment-provider\n");
            ExitCode::from(EXIT_USAGE)
        }
    }
}
