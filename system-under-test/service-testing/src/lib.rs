//! What the tests of services need.
//!
//! * [`postgres`]: a private, throw-away PostgreSQL.
//! * [`program`]: a service as a process of its own, which can be killed.
//! * [`start`], [`stop`]: a service inside the test.

pub mod postgres;
pub mod program;

use std::error::Error;
use std::future::Future;
use std::time::{Duration, Instant};

use service_kit::service::{Common, Service};
use service_kit::settings::Settings;

pub use postgres::{TestDatabase, database};
pub use program::Program;

const PAUSE: Duration = Duration::from_millis(10);

/// Runs a service inside the test: `values` are its settings, `INSTANCE` and `LISTEN_HTTP` are given if they are missing.
/// It stops when the returned service's shutdown begins.
///
/// # Panics
/// When the settings are bad or the service does not start.
pub async fn start<C, Fut, E>(
    name: &'static str,
    values: &[(&str, &str)],
    read: impl FnOnce(&mut Settings) -> C,
    start: impl FnOnce(C, Service) -> Fut,
) -> Service
where
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let defaults = [("INSTANCE", name), ("LISTEN_HTTP", "127.0.0.1:0")];
    let values = defaults
        .iter()
        .chain(values)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let read = Settings::read(values, |settings| (Common::read(settings), read(settings)));
    let (common, config) = read.unwrap_or_else(|problems| panic!("bad settings: {problems}"));
    let service = Service::new(name, common);
    if let Err(error) = start(config, service.clone()).await {
        panic!("{name} does not start: {}", error.into());
    }
    service.health.mark_started();
    service
}

/// Waits until a condition holds.
///
/// # Panics
/// When it does not within 20 seconds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "did not come about: {what}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// Stops a service as SIGTERM would, and waits for its tasks.
///
/// # Panics
/// When its tasks do not end within its grace.
pub async fn stop(service: &Service) {
    service.shutdown.begin();
    service.shutdown.tasks().close();
    let ended = tokio::time::timeout(
        service.common.shutdown_grace,
        service.shutdown.tasks().wait(),
    )
    .await;
    assert!(
        ended.is_ok(),
        "{} did not stop within its grace",
        service.name
    );
}
