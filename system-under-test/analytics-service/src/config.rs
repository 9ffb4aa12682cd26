//! The settings of the analytics service.

use std::time::Duration;

use service_kit::database::DatabaseSettings;
use service_kit::defences::Defences;
use service_kit::kafka::{BatchLimits, KafkaSettings};
use service_kit::names::Names;
use service_kit::settings::Settings;

use crate::defences::Defence;

/// The settings of the analytics service, in both of its roles.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database of the dashboards.
    pub database: DatabaseSettings,
    /// Kafka.
    pub kafka: KafkaSettings,
    /// The data lake.
    pub lake: LakeSettings,
    /// How much of a partition goes into one object.
    pub objects: BatchLimits,
    /// Pause between two batches.
    pub batch_interval: Duration,
    /// Most objects that one batch takes in.
    pub batch_objects: usize,
    /// Length of a dashboard's window of event time. Seconds.
    pub window_s: i64,
    /// Which protections are on.
    pub defences: Defences<Defence>,
    /// How long a request may take, whatever deadline the caller allows.
    pub request_limit: Duration,
}

/// Where the data lake is.
#[derive(Debug, Clone)]
pub struct LakeSettings {
    /// `http://host:port` of an S3 server whose buckets are addressed by path.
    pub endpoint: String,
    /// Where names are looked up.
    pub names: Names,
    /// The bucket.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The name that requests are signed with.
    pub access_key: String,
    /// The secret that requests are signed with.
    pub secret_key: String,
    /// How long one request may take.
    pub request_limit: Duration,
    /// How long a connection may take to come about.
    pub connect_limit: Duration,
}

impl LakeSettings {
    fn read(settings: &mut Settings) -> Self {
        Self {
            endpoint: settings.required_text(
                "LAKE_ENDPOINT",
                "the address of an S3 server such as http://127.0.0.1:9000",
            ),
            names: Names::read(settings),
            bucket: settings.required_text("LAKE_BUCKET", "the bucket of the data lake"),
            region: settings.text(
                "LAKE_REGION",
                "us-east-1",
                "the region that requests are signed for",
            ),
            access_key: settings
                .required_text("LAKE_ACCESS_KEY", "the access key of the data lake"),
            secret_key: settings
                .required_text("LAKE_SECRET_KEY", "the secret key of the data lake"),
            request_limit: settings.duration_ms(
                "LAKE_REQUEST_LIMIT_MS",
                10_000,
                "how long one request to the data lake may take",
            ),
            connect_limit: settings.duration_ms(
                "LAKE_CONNECT_LIMIT_MS",
                2_000,
                "how long a connection to it may take to come about",
            ),
        }
    }
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
            lake: LakeSettings::read(settings),
            objects: BatchLimits {
                messages: settings.number(
                    "LAKE_OBJECT_MESSAGES",
                    500,
                    1..=10_000,
                    "messages with which an object is full",
                ),
                bytes: settings.number(
                    "LAKE_OBJECT_BYTES",
                    1_000_000,
                    1_000..=50_000_000,
                    "bytes with which an object is full",
                ),
                linger: settings.duration_ms(
                    "LAKE_OBJECT_LINGER_MS",
                    1_000,
                    "an object that is not full is written after this time",
                ),
            },
            batch_interval: settings.duration_ms(
                "BATCH_INTERVAL_MS",
                5_000,
                "pause between two batches",
            ),
            batch_objects: settings.number(
                "BATCH_OBJECTS",
                500,
                1..=10_000,
                "most objects that one batch takes in",
            ),
            window_s: settings.number(
                "WINDOW_S",
                60,
                1..=86_400,
                "length of a dashboard's window of event time",
            ),
            defences,
            request_limit: settings.duration_ms(
                "REQUEST_LIMIT_MS",
                10_000,
                "how long a request may take, whatever the caller allows",
            ),
        }
    }
}
