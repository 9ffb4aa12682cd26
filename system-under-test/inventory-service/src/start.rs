//! How the rooms are put together: pool, API, migrations, consumer.

use contracts::topic;
use service_kit::service::Service;
use service_kit::{database, fail_point, kafka};

use crate::cache::StockCache;
use crate::config::Config;
use crate::defences::Defence;
use crate::events::{Changes, Orders, consumption};
use crate::http;
use crate::store::Store;

/// Name of the program.
pub const NAME: &str = "inventory-service";

/// Moments at which a drill can interfere.
pub const FAIL_POINTS: [&str; 4] = [
    "inventory.before-decrement",
    "inventory.after-commit-before-publish",
    "inventory.after-work-before-commit",
    "inventory.before-invalidation",
];

/// File names and texts of the database's migrations.
pub const MIGRATIONS: [(&str, &str); 1] = [(
    "0001_stock.sql",
    include_str!("../migrations/0001_stock.sql"),
)];

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
    let producer = kafka::Producer::new(&config.kafka, &service.common.instance, true)?;
    producer.check_reached_once(&service.health);

    let max_age = config.defences.on(Defence::CacheTtl);
    let cache = StockCache::new(max_age.then_some(config.cache_max_age));
    let store = Store::new(
        pool.clone(),
        config.database.clone(),
        config.defences.clone(),
        cache.clone(),
    );
    service.serve_http(http::routes(store.clone(), config.request_limit))?;
    database::migrate(&pool, &MIGRATIONS, &service.shutdown).await?;

    let changes = Changes::new(cache, &service.metrics);
    kafka::listen(&service, &config.kafka, topic::INVENTORY_EVENTS, changes)?
        .check_begun(&service.health, "changes of the stock");
    let work = Orders::new(store, producer.clone(), &service.metrics);
    let consumption = consumption(&config.defences);
    kafka::consume(&service, &config.kafka, consumption, producer, work)?
        .check_joined(&service.health);
    Ok(())
}
