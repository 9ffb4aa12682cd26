//! The message provider: delivers e-mails and SMS, and keeps a mailbox that is the truth about what customers were told.
//!
//! * [`domain`]: what may be asked, and what makes a request wrong
//! * [`mailbox`]: all SQL
//! * [`http`]: the public API and the control API

use std::num::NonZeroU32;
use std::time::Duration;

use service_kit::database::{DatabaseSettings, Pool, migrate};
use service_kit::http::TlsFiles;
use service_kit::metrics::{Counters, Metrics};
use service_kit::service::Service;
use service_kit::settings::Settings;
use tokio_util::task::TaskTracker;

use crate::Addresses;
use crate::desk::{self, Desk};
use domain::Channel;
use mailbox::Mailbox;

pub mod domain;
pub mod http;
pub mod mailbox;

/// The moment between delivering and answering.
pub const AFTER_BOOKING: &str = "message-provider.after-booking-before-answer";

/// The database's migrations: file name and text.
pub const MIGRATIONS: &[(&str, &str)] = &[(
    "0001_mailbox.sql",
    include_str!("../../migrations/message-provider/0001_mailbox.sql"),
)];

/// A key is remembered for a day, unless a setting says otherwise. Milliseconds.
const KEY_MEMORY_MS: u64 = 86_400_000;

/// Settings of the message provider.
#[derive(Debug, Clone)]
pub struct Config {
    /// The mailbox's database.
    pub database: DatabaseSettings,
    /// Where the public API is served.
    pub public: TlsFiles,
    /// Requests in a second that clients may send; none for no limit.
    pub rate_limit_per_s: Option<NonZeroU32>,
    /// How long a key is remembered; after that a request with it delivers again.
    pub key_memory: Duration,
}

impl Config {
    /// Reads `RATE_LIMIT_PER_S` (0: no limit), `KEY_MEMORY_MS` (0: keys are not remembered), the database's settings and
    /// the listener's.
    pub fn read(settings: &mut Settings) -> Self {
        let key_memory_ms = settings.number(
            "KEY_MEMORY_MS",
            KEY_MEMORY_MS,
            0..=KEY_MEMORY_MS,
            "how long a key is remembered; after that a request with it delivers again",
        );
        Self {
            database: DatabaseSettings::read(settings),
            public: TlsFiles::read(settings),
            rate_limit_per_s: desk::read_rate_limit(settings),
            key_memory: Duration::from_millis(key_memory_ms),
        }
    }
}

/// A message provider; clones share it.
#[derive(Clone)]
pub struct Provider {
    mailbox: Mailbox,
    desk: Desk<Channel>,
    metrics: ProviderMetrics,
}

#[derive(Clone)]
struct ProviderMetrics {
    asked: Counters,
    delivered: Counters,
}

impl ProviderMetrics {
    fn new(metrics: &Metrics) -> Self {
        Self {
            asked: metrics.counters("message_requests", "Requests to deliver a message"),
            delivered: metrics.counters("messages_delivered", "Messages delivered"),
        }
    }

    fn asked(&self, channel: Channel) {
        self.asked
            .get_or_create(&vec![("channel", channel.as_str().to_owned())])
            .inc();
    }

    fn delivered(&self, channel: Channel) {
        self.delivered
            .get_or_create(&vec![("channel", channel.as_str().to_owned())])
            .inc();
    }
}

impl Provider {
    /// A provider on a migrated database. `work` tracks deliveries that must be finished before the process ends.
    pub fn new(
        pool: Pool,
        rate_limit_per_s: Option<NonZeroU32>,
        key_memory: Duration,
        metrics: &Metrics,
        work: TaskTracker,
    ) -> Self {
        service_kit::fail_point::register(&[AFTER_BOOKING]);
        Self {
            mailbox: Mailbox::new(pool, key_memory),
            desk: Desk::new(rate_limit_per_s, work),
            metrics: ProviderMetrics::new(metrics),
        }
    }
}

/// Starts the provider: database, control API, public API.
///
/// # Errors
/// The database cannot be prepared, a file cannot be read, or an address cannot be bound.
pub async fn start(config: Config, service: Service) -> anyhow::Result<()> {
    serve(config, &service).await.map(drop)
}

/// Starts the provider and says where it is served.
///
/// # Errors
/// As [`start`].
pub async fn serve(config: Config, service: &Service) -> anyhow::Result<Addresses> {
    let pool = config.database.open(service);
    let work = service.shutdown.tasks().clone();
    let provider = Provider::new(
        pool.clone(),
        config.rate_limit_per_s,
        config.key_memory,
        &service.metrics,
        work,
    );
    let http = service.serve_http(http::control::router(provider.clone()))?;
    migrate(&pool, MIGRATIONS, &service.shutdown).await?;
    let public = service
        .serve_tls(&config.public, http::public::router(provider))
        .await?;
    Ok(Addresses { http, public })
}
