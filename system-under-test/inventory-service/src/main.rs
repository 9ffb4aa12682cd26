//! The program of the inventory service.

use std::process::ExitCode;

use inventory_service::config::Config;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    service_kit::service::run(
        inventory_service::NAME,
        &arguments,
        Config::read,
        inventory_service::start,
    )
}
