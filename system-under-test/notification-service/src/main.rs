//! The program of the notification service.

use std::process::ExitCode;

use notification_service::config::Config;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    service_kit::service::run(
        notification_service::NAME,
        &arguments,
        Config::read,
        notification_service::start,
    )
}
