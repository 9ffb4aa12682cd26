//! The program of the analytics service.

use std::process::ExitCode;

use analytics_service::config::Config;
use service_kit::service;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((role, others)) if role == "batch" => service::run(
            "analytics-batch",
            others,
            Config::read,
            analytics_service::start_batch,
        ),
        Some((other, _)) if !other.starts_with('-') => {
            service::choose_role(analytics_service::NAME, "[batch]", other)
        }
        _ => service::run(
            analytics_service::NAME,
            &arguments,
            Config::read,
            analytics_service::start_keeping,
        ),
    }
}
