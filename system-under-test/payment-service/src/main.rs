//! Starts the payment service.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_kit::service::run(
        "payment-service",
        payment_service::config::Config::read,
        payment_service::start,
    )
}
