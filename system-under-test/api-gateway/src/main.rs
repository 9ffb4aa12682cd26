//! Starts the gateway.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_kit::service::run(
        "api-gateway",
        api_gateway::config::Config::read,
        api_gateway::start,
    )
}
