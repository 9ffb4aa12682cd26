//! Starts the gateway.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    service_kit::service::run(
        "api-gateway",
        &arguments,
        api_gateway::config::Config::read,
        api_gateway::start,
    )
}
