//! The settings of the inventory service.

use std::time::Duration;

use service_kit::database::DatabaseSettings;
use service_kit::defences::Defences;
use service_kit::kafka::KafkaSettings;
use service_kit::settings::Settings;

use crate::defences::Defence;

/// The settings of the inventory service.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub database: DatabaseSettings,
    /// Kafka.
    pub kafka: KafkaSettings,
    /// Which protections are on.
    pub defences: Defences<Defence>,
    /// How old the stock may be that is shown.
    pub cache_max_age: Duration,
    /// How long a request may take, whatever deadline the caller allows.
    pub request_limit: Duration,
}

impl Config {
    /// Reads all settings.
    pub fn read(settings: &mut Settings) -> Self {
        let defences = settings.defences();
        let database = DatabaseSettings {
            follows_password: defences.on(Defence::SecretReload),
            ..DatabaseSettings::read(settings)
        };
        Self {
            database,
            kafka: KafkaSettings::read(settings),
            defences,
            cache_max_age: settings.duration_ms(
                "STOCK_CACHE_MAX_AGE_MS",
                5_000,
                "how old the stock may be that is shown",
            ),
            request_limit: settings.duration_ms(
                "REQUEST_LIMIT_MS",
                10_000,
                "how long a request may take, whatever the caller allows",
            ),
        }
    }
}
