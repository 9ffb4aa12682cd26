//! The settings of the order service.

use std::time::Duration;

use service_kit::database::DatabaseSettings;
use service_kit::defences::Defences;
use service_kit::kafka::KafkaSettings;
use service_kit::settings::Settings;

use crate::copies::CopyLimits;
use crate::defences::Defence;
use crate::intake::Bounds;
use crate::store::{Isolation, StoreSettings};

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
    /// How strictly transactions are kept apart.
    pub isolation: Isolation,
    /// How long, and for how many orders, what was read is shown to whoever asks again.
    pub copies: CopyLimits,
    /// How many messages may wait in the outbox before orders are refused.
    pub intake: Bounds,
    /// How often they are counted.
    pub intake_look: Duration,
    /// How often the tables are looked at.
    pub schema_look: Duration,
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
        let defences = settings.defences();
        Self {
            database: as_defended(DatabaseSettings::read(settings), &defences),
            kafka: KafkaSettings::read(settings),
            isolation: isolation(settings),
            copies: CopyLimits {
                age: settings.duration_ms(
                    "STATUS_AGE_MS",
                    1_000,
                    "how long an order that was read is shown to whoever asks again; 0: not at all",
                ),
                count: settings.number(
                    "STATUS_COPIES",
                    10_000,
                    1..=1_000_000,
                    "orders that are kept for that",
                ),
            },
            intake: bounds(settings),
            intake_look: settings.duration_ms(
                "INTAKE_LOOK_MS",
                100,
                "how often the outbox is counted",
            ),
            schema_look: settings.duration_ms(
                "SCHEMA_LOOK_MS",
                500,
                "how often the tables are looked at",
            ),
            defences,
            request_limit: settings.duration_ms(
                "REQUEST_LIMIT_MS",
                10_000,
                "how long a request may take, whatever the caller allows",
            ),
            outbox_poll: settings.duration_ms(
                "OUTBOX_POLL_MS",
                200,
                "how often the relay looks for messages that nobody told it of",
            ),
            outbox_batch: settings.number(
                "OUTBOX_BATCH",
                200,
                1..=10_000,
                "messages that the relay sends at once",
            ),
        }
    }

    /// The part that the store needs.
    pub fn store(&self) -> StoreSettings {
        StoreSettings {
            database: self.database.clone(),
            isolation: self.isolation,
            copies: self.copies,
            message_limit: self.kafka.message_bytes as usize,
        }
    }

    /// How Kafka is consumed.
    pub fn consuming(&self) -> KafkaSettings {
        let mut kafka = self.kafka.clone();
        if !self.defences.on(Defence::ConcurrencyLimit) {
            kafka.concurrent_messages = UNLIMITED_MESSAGES;
        }
        kafka
    }

    /// The part that the API needs.
    pub fn api(&self) -> ApiConfig {
        ApiConfig {
            defences: self.defences.clone(),
            request_limit: self.request_limit,
        }
    }
}

/// Who is not refused soon waits as long as anybody could want to.
const NOT_SOON: Duration = Duration::from_secs(3_600);
/// More messages than are ever worked on at a time.
const UNLIMITED_MESSAGES: usize = 10_000;

/// The limits of the database that are left when some defences are off.
fn as_defended(database: DatabaseSettings, defences: &Defences<Defence>) -> DatabaseSettings {
    let or = |defence, limit: Duration, without: Duration| {
        if defences.on(defence) { limit } else { without }
    };
    DatabaseSettings {
        acquire_limit: or(Defence::PoolTimeout, database.acquire_limit, NOT_SOON),
        // PostgreSQL takes 0 for no limit.
        statement_limit: or(
            Defence::StatementTimeout,
            database.statement_limit,
            Duration::ZERO,
        ),
        follows_password: defences.on(Defence::SecretReload),
        replaces_lost_connections: defences.on(Defence::Reconnect),
        synchronous_commit: defences.on(Defence::SyncCommit),
        ..database
    }
}

fn isolation(settings: &mut Settings) -> Isolation {
    let known = &["read committed", "serializable"];
    match settings.choice(
        "DATABASE_ISOLATION",
        "read committed",
        known,
        "how strictly transactions are kept apart",
    ) {
        "serializable" => Isolation::Serializable,
        _ => Isolation::ReadCommitted,
    }
}

fn bounds(settings: &mut Settings) -> Bounds {
    let close_at = settings.number(
        "INTAKE_CLOSES_AT",
        10_000,
        1..=10_000_000,
        "messages in the outbox at which orders are refused",
    );
    let open_at = settings.number(
        "INTAKE_OPENS_AT",
        5_000,
        0..=10_000_000,
        "messages in the outbox at which they are taken again; fewer than INTAKE_CLOSES_AT",
    );
    if open_at >= close_at {
        let problem = format!("{open_at} is not less than INTAKE_CLOSES_AT, {close_at}");
        settings.problem("INTAKE_OPENS_AT", problem);
    }
    Bounds { close_at, open_at }
}
