//! The program of the frontend.

use std::process::ExitCode;

use frontend::config::Config;

fn main() -> ExitCode {
    service_kit::service::run(frontend::NAME, Config::read, frontend::start)
}
