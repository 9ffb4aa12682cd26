//! The program of the order service.

use std::process::ExitCode;

use order_service::config::Config;

fn main() -> ExitCode {
    service_kit::service::run(order_service::NAME, Config::read, order_service::start)
}
