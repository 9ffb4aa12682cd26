//! The program of the inventory service.

use std::process::ExitCode;

use inventory_service::config::Config;

fn main() -> ExitCode {
    service_kit::service::run(
        inventory_service::NAME,
        Config::read,
        inventory_service::start,
    )
}
