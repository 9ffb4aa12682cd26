//! The program of the analytics service.

use std::io::Write;
use std::process::ExitCode;

use analytics_service::config::Config;

/// Exit code for arguments that mean nothing (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => service_kit::service::run(
            analytics_service::NAME,
            Config::read,
            analytics_service::start_keeping,
        ),
        ["batch"] => service_kit::service::run(
            "analytics-batch",
            Config::read,
            analytics_service::start_batch,
        ),
        _ => {
            let usage = "analytics-service: start it without arguments to keep events, or with `batch` to build dashboards\n";
            // When standard error is closed the exit code has to do.
            let _written = std::io::stderr().write_all(usage.as_bytes());
            ExitCode::from(EXIT_USAGE)
        }
    }
}
