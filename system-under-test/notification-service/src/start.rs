//! How the rooms are put together: pool, migrations, provider, consumer.

use anyhow::Context;
use axum::Router;
use service_kit::http::connections::{self, Connections};
use service_kit::service::Service;
use service_kit::{database, fail_point, kafka};

use crate::config::{Config, ProviderSettings};
use crate::events::{AFTER_RECORD, AFTER_SEND, BEFORE_SEND, Orders, consumption};
use crate::provider::{Client, Gate};
use crate::store::Store;

/// Name of the program.
pub const NAME: &str = "notification-service";

/// Moments at which a drill can interfere.
pub const FAIL_POINTS: [&str; 3] = [BEFORE_SEND, AFTER_SEND, AFTER_RECORD];

/// File names and texts of the database's migrations.
pub const MIGRATIONS: [(&str, &str); 1] = [(
    "0001_notifications.sql",
    include_str!("../migrations/0001_notifications.sql"),
)];

/// Starts the service; its tasks belong to `service`. The message provider need not be there: events wait until it is.
///
/// # Errors
/// An address is taken, a file cannot be read, a client refuses its configuration, or the database holds other migrations.
pub async fn start(config: Config, service: Service) -> anyhow::Result<()> {
    fail_point::register(&FAIL_POINTS);
    tracing::info!(off = ?config.defences.names_off(), "defences");
    let client = client(&config.provider, &service)?;
    let pool = config.database.open(&service);
    let producer = kafka::Producer::new(&config.kafka, &service.common.instance, true)?;
    producer.check_reached_once(&service.health);
    service.serve_http(Router::new())?;
    database::migrate(&pool, &MIGRATIONS, &service.shutdown).await?;

    let work = Orders::new(
        Store::new(pool, config.database),
        client,
        Gate::new(config.rate_per_s, &config.defences),
        config.defences.clone(),
        &service.metrics,
        service.shutdown.token(),
    );
    let consumption = consumption(&config.defences);
    kafka::consume(&service, &config.kafka, consumption, producer, work)?
        .check_joined(&service.health);
    Ok(())
}

/// A client of the provider that takes up the certificates of `CA_FILE` whenever they change.
fn client(provider: &ProviderSettings, service: &Service) -> anyhow::Result<Client> {
    let file = &provider.ca_file;
    let trusted = std::fs::read(file)
        .with_context(|| format!("CA_FILE {} cannot be read", file.display()))?;
    let terms = connections::Terms {
        caller: NAME,
        limits: provider.calls,
        verify: true,
        names: provider.names.clone(),
    };
    let connections =
        Connections::new(&trusted, terms).with_context(|| format!("CA_FILE {}", file.display()))?;
    let following = connections.clone().follow(
        file.clone(),
        trusted,
        provider.ca_reload,
        service.shutdown.clone(),
    );
    service.spawn("ca-reload", following);
    Client::new(&provider.url, connections)
}
