//! How the rooms are put together: pool, API, migrations, relay, consumer.

use std::sync::Arc;

use service_kit::service::Service;
use service_kit::{database, fail_point, kafka};

use crate::config::Config;
use crate::defences::Defence;
use crate::events::{consume, relay};
use crate::http;
use crate::store::{Publication, Store};

/// Name of the program.
pub const NAME: &str = "order-service";

/// Moments at which a drill can interfere.
pub const FAIL_POINTS: [&str; 3] = [
    "order.after-commit-before-answer",
    "order.after-publish-before-mark",
    "order.between-order-and-audit",
];

/// File names and texts of the database's migrations.
pub const MIGRATIONS: [(&str, &str); 1] = [(
    "0001_orders.sql",
    include_str!("../migrations/0001_orders.sql"),
)];

/// Starts the service; its tasks belong to `service`.
///
/// # Errors
/// An address is taken, Kafka's client refuses its configuration, or the database holds other migrations.
pub async fn start(config: Config, service: Service) -> anyhow::Result<()> {
    fail_point::register(&FAIL_POINTS);
    tracing::info!(off = ?config.defences.names_off(), "defences");
    let instance = &service.common.instance;
    let pool = config.database.pool(instance);
    service.health.check_database(&pool);
    let idempotent = config.defences.on(Defence::ProducerIdempotence);
    let producer = kafka::Producer::new(&config.kafka, instance, idempotent)?;
    producer.check_reached_once(&service.health);

    let stored = Arc::new(tokio::sync::Notify::new());
    let publication = if config.defences.on(Defence::Outbox) {
        Publication::ThroughOutbox(stored.clone())
    } else {
        Publication::Direct(producer.clone())
    };
    let store = Store::new(
        pool.clone(),
        config.database.clone(),
        config.defences.clone(),
        publication,
    );
    service.serve_http(http::routes(store.clone(), &service.metrics, config.api()))?;
    database::migrate(&pool, &MIGRATIONS, &service.shutdown).await?;

    let relay = relay::Relay::new(store.clone(), producer.clone(), stored, &config, &service);
    service.spawn("relay", relay.run());
    let work = consume::Answers::new(store);
    kafka::consume(
        &service,
        &config.kafka,
        consume::consumption(),
        producer,
        work,
    )?
    .check_joined(&service.health);
    Ok(())
}
