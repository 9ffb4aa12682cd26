//! How the rooms are put together, in each of the two roles.

use std::time::Duration;

use contracts::topic;
use service_kit::service::Service;
use service_kit::{database, fail_point, kafka};

use crate::batch::Job;
use crate::batch::job::Pace;
use crate::config::Config;
use crate::events::{Keeping, consumption};
use crate::http;
use crate::lake::Lake;
use crate::store::Store;

/// Name of the program, and of the group that keeps events.
pub const NAME: &str = "analytics-service";

/// The group under which the batch notes how far the dashboards go.
pub const DASHBOARDS_GROUP: &str = "analytics-dashboards";

/// Moments at which a drill can interfere.
pub const FAIL_POINTS: [&str; 3] = [
    "analytics.before-put",
    "analytics.after-put-before-commit",
    "analytics.in-the-middle-of-batch",
];

/// File names and texts of the database's migrations.
pub const MIGRATIONS: [(&str, &str); 1] = [(
    "0001_dashboards.sql",
    include_str!("../migrations/0001_dashboards.sql"),
)];

/// How long the batch waits for the queue's answers.
const QUEUE_LIMIT: Duration = Duration::from_secs(5);

/// Starts the role that keeps events and serves the dashboards; its tasks belong to `service`.
///
/// # Errors
/// An address is taken, a client refuses its configuration, or the database holds other migrations.
pub async fn start_keeping(config: Config, service: Service) -> anyhow::Result<()> {
    let store = prepare(&config, &service);
    let lake = Lake::new(&config.lake, config.defences.clone())?;
    let producer = kafka::Producer::new(&config.kafka, &service.common.instance, true)?;
    producer.check_reached_once(&service.health);
    service.serve_http(http::routes(store.store, config.request_limit))?;
    database::migrate(&store.pool, &MIGRATIONS, &service.shutdown).await?;
    let work = Keeping::new(lake, config.objects, &config.defences, &service.metrics);
    let consumption = consumption(&config.defences);
    kafka::consume_batches(&service, &config.kafka, consumption, producer, work)?
        .check_joined(&service.health);
    Ok(())
}

/// Starts the role that builds the dashboards; its task belongs to `service`.
///
/// # Errors
/// As [`start_keeping`].
pub async fn start_batch(config: Config, service: Service) -> anyhow::Result<()> {
    let store = prepare(&config, &service);
    let lake = Lake::new(&config.lake, config.defences.clone())?;
    let bookmark = kafka::Bookmark::new(
        &config.kafka,
        &service.common.instance,
        DASHBOARDS_GROUP,
        topic::ORDER_EVENTS,
        QUEUE_LIMIT.min(config.kafka.socket_timeout),
    )?;
    service.serve_http(axum::Router::new())?;
    database::migrate(&store.pool, &MIGRATIONS, &service.shutdown).await?;
    let pace = Pace {
        interval: config.batch_interval,
        objects: config.batch_objects,
        window_s: config.window_s,
    };
    let job = Job::new(
        lake,
        store.store,
        bookmark,
        config.defences,
        pace,
        &service.metrics,
    );
    service.spawn("batch", job.run(service.shutdown.clone()));
    Ok(())
}

struct Opened {
    pool: database::Pool,
    store: Store,
}

fn prepare(config: &Config, service: &Service) -> Opened {
    fail_point::register(&FAIL_POINTS);
    tracing::info!(off = ?config.defences.names_off(), "defences");
    let pool = config.database.open(service);
    let store = Store::new(
        pool.clone(),
        config.database.clone(),
        config.defences.clone(),
    );
    Opened { pool, store }
}
