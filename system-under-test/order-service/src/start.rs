//! How the rooms are put together: pool, API, migrations, relay, consumer.

use std::sync::Arc;

use service_kit::service::Service;
use service_kit::{database, fail_point, kafka};

use crate::config::Config;
use crate::defences::Defence;
use crate::events::{consume, relay};
use crate::http;
use crate::intake::Intake;
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
pub const MIGRATIONS: [(&str, &str); 2] = [
    (
        "0001_orders.sql",
        include_str!("../migrations/0001_orders.sql"),
    ),
    (
        "0002_notes_and_parked_messages.sql",
        include_str!("../migrations/0002_notes_and_parked_messages.sql"),
    ),
];

/// Starts the service; its tasks belong to `service`.
///
/// # Errors
/// An address is taken, Kafka's client refuses its configuration, or the database holds other migrations.
pub async fn start(config: Config, service: Service) -> anyhow::Result<()> {
    fail_point::register(&FAIL_POINTS);
    let graceful = config.defences.on(Defence::GracefulShutdown);
    service.shutdown.finish_what_is_under_way(graceful);
    tracing::info!(off = ?config.defences.names_off(), "defences");
    let pool = config.database.open(&service);
    let idempotent = config.defences.on(Defence::ProducerIdempotence);
    let instance = &service.common.instance;
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
        config.store(),
        config.defences.clone(),
        publication,
        &service.metrics,
    );
    let intake = Intake::new(&service.metrics);
    let routes = http::routes(
        store.clone(),
        intake.clone(),
        &service.metrics,
        config.api(),
    );
    service.serve_http(routes)?;
    database::migrate(&pool, &MIGRATIONS, &service.shutdown).await?;
    watch(&config, &service, &store, intake).await?;

    let relay = relay::Relay::new(store.clone(), producer.clone(), stored, &config, &service);
    service.spawn("relay", relay.run());
    let work = consume::Answers::new(store);
    kafka::consume(
        &service,
        &config.consuming(),
        consume::consumption(),
        producer,
        work,
    )?
    .check_joined(&service.health);
    Ok(())
}

/// Starts what watches over tables and outbox.
async fn watch(
    config: &Config,
    service: &Service,
    store: &Store,
    intake: Intake,
) -> anyhow::Result<()> {
    let shutdown = &service.shutdown;
    if config.defences.on(Defence::SchemaCheck) {
        store.look_at_schema().await?;
        let schema = store.schema().clone();
        service.health.check("schema", move || {
            let fits = schema.fits();
            async move { fits }
        });
        let watching = store
            .clone()
            .watch_schema(config.schema_look, shutdown.clone());
        service.spawn("schema", watching);
    }
    if config.defences.on(Defence::Backpressure) {
        let watching = intake.watch(
            store.clone(),
            config.intake,
            config.intake_look,
            shutdown.clone(),
        );
        service.spawn("intake", watching);
    }
    Ok(())
}
