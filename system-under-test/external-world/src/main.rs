//! Starts one role of the external world: `external-world payment-provider`, `message-provider` or `identity-provider`.

use std::process::ExitCode;

use external_world::{identity_provider, message_provider, payment_provider};
use service_kit::service;

/// What the program can be.
const ROLES: &str = "payment-provider|message-provider|identity-provider";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (role, arguments) = match arguments.split_first() {
        Some((role, others)) => (role.as_str(), others),
        None => ("", &[][..]),
    };
    match role {
        "payment-provider" => service::run(
            "payment-provider",
            arguments,
            payment_provider::Config::read,
            payment_provider::start,
        ),
        "message-provider" => service::run(
            "message-provider",
            arguments,
            message_provider::Config::read,
            message_provider::start,
        ),
        "identity-provider" => service::run(
            "identity-provider",
            arguments,
            identity_provider::Config::read,
            identity_provider::start,
        ),
        other => service::choose_role("external-world", ROLES, other),
    }
}
