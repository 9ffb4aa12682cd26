//! The program of the notification service.

use std::process::ExitCode;

use notification_service::config::Config;

fn main() -> ExitCode {
    service_kit::service::run(
        notification_service::NAME,
        Config::read,
        notification_service::start,
    )
}
