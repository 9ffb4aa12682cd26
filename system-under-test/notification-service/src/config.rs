//! The settings of the notification service.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use service_kit::database::DatabaseSettings;
use service_kit::defences::Defences;
use service_kit::http::CallLimits;
use service_kit::kafka::KafkaSettings;
use service_kit::names::Names;
use service_kit::settings::Settings;

use crate::defences::Defence;

/// Messages in a second, unless a setting says otherwise.
const RATE_PER_S: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Idle connections to the message provider that are kept.
const IDLE_CONNECTIONS: usize = 8;

/// The settings of the notification service.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub database: DatabaseSettings,
    /// Kafka.
    pub kafka: KafkaSettings,
    /// How the message provider is reached.
    pub provider: ProviderSettings,
    /// Messages in a second that this instance sends.
    pub rate_per_s: NonZeroU32,
    /// Which protections are on.
    pub defences: Defences<Defence>,
}

/// How the message provider is reached.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Its base URL; HTTPS.
    pub url: String,
    /// Certificates that its own must descend from, PEM; no others are trusted.
    pub ca_file: PathBuf,
    /// Where names are looked up.
    pub names: Names,
    /// How often that file is looked at again.
    pub ca_reload: Duration,
    /// How long calls may take.
    pub calls: CallLimits,
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
            provider: ProviderSettings::read(settings),
            rate_per_s: settings.number(
                "PROVIDER_RATE_PER_S",
                RATE_PER_S,
                NonZeroU32::MIN..=NonZeroU32::MAX,
                "messages in a second that this instance sends",
            ),
            defences,
        }
    }
}

impl ProviderSettings {
    fn read(settings: &mut Settings) -> Self {
        let meaning = "the message provider's address, such as https://127.0.0.1:8443";
        let url = settings.required_text("PROVIDER_URL", meaning);
        let is_https = Url::parse(&url).is_ok_and(|url| url.scheme() == "https" && url.has_host());
        if !url.is_empty() && !is_https {
            settings.problem("PROVIDER_URL", format!("`{url}` is not {meaning}"));
        }
        Self {
            url,
            ca_file: settings.required_path("CA_FILE", "the path of trusted certificates in PEM"),
            names: Names::read(settings),
            ca_reload: Duration::from_millis(settings.number(
                "CA_RELOAD_MS",
                5_000,
                10..=3_600_000,
                "how often that file is looked at again",
            )),
            calls: CallLimits {
                connect: Some(settings.duration_ms(
                    "PROVIDER_CONNECT_MS",
                    2_000,
                    "how long a connection to the provider may take to come about",
                )),
                total: Some(settings.duration_ms(
                    "PROVIDER_TIMEOUT_MS",
                    5_000,
                    "how long a call may take in all",
                )),
                idle_connections: IDLE_CONNECTIONS,
            },
        }
    }
}
