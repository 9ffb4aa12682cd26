//! The program of the frontend.

use std::process::ExitCode;

use frontend::config::Config;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    service_kit::service::run(frontend::NAME, &arguments, Config::read, frontend::start)
}
