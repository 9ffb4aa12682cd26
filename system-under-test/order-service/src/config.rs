//! The settings of the order service.

use std::time::Duration;

use service_kit::database::DatabaseSettings;
use service_kit::defences::Defences;
use service_kit::kafka::KafkaSettings;
use service_kit::settings::Settings;

use crate::defences::Defence;

/// The settings of the order service.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub database: DatabaseSettings,
    /// Kafka.
    pub kafka: KafkaSettings,
    /// Which protections are on.
    pub defences: Defences<Defence>,
    /// How long a request may take, whatever deadline the caller allows.
    pub request_limit: Duration,
    /// How often the relay looks for messages that nobody told it of, such as those of a replica that died.
    pub outbox_poll: Duration,
    /// Messages the relay sends at once.
    pub outbox_batch: i64,
}

/// What the API needs to know.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Which protections are on.
    pub defences: Defences<Defence>,
    /// How long a request may take, whatever deadline the caller allows.
    pub request_limit: Duration,
}

impl Config {
    /// Reads all settings.
    pub fn read(settings: &mut Settings) -> Self {
        Self {
            database: DatabaseSettings::read(settings),
            kafka: KafkaSettings::read(settings),
            defences: settings.defences(),
            request_limit: settings.duration_ms("REQUEST_LIMIT_MS", 10_000),
            outbox_poll: settings.duration_ms("OUTBOX_POLL_MS", 200),
            outbox_batch: settings.number("OUTBOX_BATCH", 200, 1..=10_000),
        }
    }

    /// The part that the API needs.
    pub fn api(&self) -> ApiConfig {
        ApiConfig {
            defences: self.defences.clone(),
            request_limit: self.request_limit,
        }
    }
}
