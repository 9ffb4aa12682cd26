//! Every kind of fault bites what it is to hurt, spares what it is not, and heals, each witnessed by an instrument that is
//! not the injector: an HTTP client, a Kafka client, a stopwatch, SQL, the operating system.
//!
//! The system is small, but every part of it is real: processes, proxies, broker, database, provider.

mod certificates;
mod database;
mod identity;
mod injection;
mod links;
mod logins;
mod names;
mod pipeline;
mod process;
mod processes;
mod produced;
mod provider;
mod proxies;
mod queue;
#[path = "../testbed_support/mod.rs"]
mod testbed_support;
mod victim;

use firedrill::fault::{Fault, FeltBy, Kind, Witness};

/// A fault as a profile would name it.
fn fault(kind: Kind) -> Fault {
    let by = kind.witnesses()[0];
    felt_by(kind, by)
}

/// A fault with a witness of one's choice.
fn felt_by(kind: Kind, by: Witness) -> Fault {
    Fault {
        name: format!("test-{}", kind.name().replace('_', "-")),
        kind,
        felt: FeltBy { by, at_least: 1 },
    }
}

/// A kind from what a profile says.
fn kind(profile: &str) -> Kind {
    toml::from_str(profile).expect("a kind of fault")
}
