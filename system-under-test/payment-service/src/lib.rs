//! Charges and refunds customers at the payment provider, once each, whatever fails in between.
//!
//! * [`domain`]: what is decided about a payment, pure
//! * [`config`]: the settings
//! * [`defences`]: the protections that can be switched off by name
//! * [`store`]: all SQL
//! * [`provider`]: the payment provider and everything that stands between us and it
//! * [`payment`]: makes one payment
//! * [`events`]: commands in, results out

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use service_kit::database::migrate;
use service_kit::http::connections::{self, Connections};
use service_kit::kafka::{Consumption, Producer, consume};
use service_kit::service::Service;

use config::Config;
use defences::Protection;
use events::commands::{AFTER_WORK, Commands};
use payment::Payments;
use provider::client::{Checks, ProviderAddress, ProviderClient};
use provider::gate::Gate;
use store::Store;

pub mod config;
pub mod defences;
pub mod domain;
pub mod events;
pub mod payment;
pub mod provider;
pub mod store;

/// The database's migrations: file name and text.
pub const MIGRATIONS: &[(&str, &str)] = &[
    (
        "0001_payments.sql",
        include_str!("../migrations/0001_payments.sql"),
    ),
    (
        "0002_early_refunds.sql",
        include_str!("../migrations/0002_early_refunds.sql"),
    ),
];

/// Name of the program.
const NAME: &str = "payment-service";

/// How often the gate learns how large the backlog is.
const BACKLOG_INTERVAL: Duration = Duration::from_millis(250);

/// Starts the service: health, database, producer, consumer.
///
/// # Errors
/// A file cannot be read, a client refuses its settings, or the database cannot be prepared.
pub async fn start(config: Config, service: Service) -> anyhow::Result<()> {
    let graceful = config.defences.on(Protection::GracefulShutdown);
    service.shutdown.finish_what_is_under_way(graceful);
    let off = config.defences.names_off();
    if !off.is_empty() {
        tracing::warn!(?off, "defences are off");
    }
    service.serve_http(Default::default())?;
    let pool = config.database.open(&service);
    // Before the database is waited for: what is wrong with a file is said at once.
    let payments = payments(&config, &service)?;
    let producer = Producer::new(&config.kafka, &service.common.instance, true)?;
    migrate(&pool, MIGRATIONS, &service.shutdown).await?;
    let gate = payments.gate();
    let work = Commands::new(
        Store::new(pool, config.database),
        payments,
        producer.clone(),
        config.patience,
        service.shutdown.token(),
        &config.defences,
    );
    let consumption = consumption(&config.defences);
    let consumer = consume(&service, &config.kafka, consumption, producer, work)?;
    consumer.check_joined(&service.health);
    let shutdown = service.shutdown.clone();
    service.spawn("backlog", async move {
        while !shutdown.has_begun() {
            let (backlog, share) = consumer.backlog();
            gate.note_backlog(backlog, share);
            tokio::select! {
                () = tokio::time::sleep(BACKLOG_INTERVAL) => {}
                () = shutdown.begun() => {}
            }
        }
        Ok::<(), Infallible>(())
    });
    Ok(())
}

fn payments(config: &Config, service: &Service) -> anyhow::Result<Payments> {
    let address = ProviderAddress::read(&config.provider_url, &config.ca_file)?;
    let terms = connections::Terms {
        caller: NAME,
        limits: config.calls,
        verify: config.defences.on(Protection::TlsVerify),
        names: config.names.clone(),
    };
    let connections = Connections::new(&address.ca_pem, terms)
        .with_context(|| format!("CA_FILE {}", config.ca_file.display()))?;
    if config.defences.on(Protection::CaReload) {
        let following = connections.clone().follow(
            config.ca_file.clone(),
            address.ca_pem,
            config.ca_reload,
            service.shutdown.clone(),
        );
        service.spawn("ca-reload", following);
    }
    let checks = Checks {
        body: config.defences.on(Protection::BodyCheck),
        version: config.defences.on(Protection::VersionCheck),
    };
    let client = ProviderClient::new(&address.url, connections, checks)?;
    let gate = Gate::new(config.gate, &config.defences);
    Ok(Payments::new(
        client,
        gate,
        config.pursuit,
        &config.defences,
        &service.metrics,
    ))
}

fn consumption(defences: &service_kit::defences::Defences<Protection>) -> Consumption {
    Consumption {
        group: "payment-service",
        topics: &[contracts::topic::PAYMENT_COMMANDS],
        commit_after_work: defences.on(Protection::CommitAfterWork),
        poll_while_working: defences.on(Protection::PollWhileWorking),
        dead_letters: defences.on(Protection::DeadLetter),
        before_commit: Some(AFTER_WORK),
    }
}
