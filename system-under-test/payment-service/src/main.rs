//! Starts the payment service.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    service_kit::service::run(
        "payment-service",
        &arguments,
        payment_service::config::Config::read,
        payment_service::start,
    )
}
