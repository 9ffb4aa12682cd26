//! The program of the order service.

use std::process::ExitCode;

use order_service::config::Config;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    service_kit::service::run(
        order_service::NAME,
        &arguments,
        Config::read,
        order_service::start,
    )
}
