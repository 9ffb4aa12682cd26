//! The payment provider: takes money, gives it back, and keeps a ledger that is the truth.
//!
//! * [`domain`]: what may be asked, and what makes a request wrong
//! * [`ledger`]: all SQL
//! * [`http`]: the public API and the control API

use std::num::NonZeroU32;

use service_kit::database::{DatabaseSettings, Pool, migrate};
use service_kit::http::TlsFiles;
use service_kit::metrics::{Counters, Metrics};
use service_kit::service::Service;
use service_kit::settings::Settings;
use tokio_util::task::TaskTracker;

use crate::Addresses;
use crate::desk::{self, Desk};
use domain::Kind;
use ledger::Ledger;

pub mod domain;
pub mod http;
pub mod ledger;

/// The moment between booking and answering.
pub const AFTER_BOOKING: &str = "provider.after-booking-before-answer";

/// The database's migrations: file name and text.
pub const MIGRATIONS: &[(&str, &str)] = &[(
    "0001_ledger.sql",
    include_str!("../../migrations/payment-provider/0001_ledger.sql"),
)];

/// Settings of the payment provider.
#[derive(Debug, Clone)]
pub struct Config {
    /// The ledger's database.
    pub database: DatabaseSettings,
    /// Where the public API is served.
    pub public: TlsFiles,
    /// Requests in a second that merchants may send; none for no limit.
    pub rate_limit_per_s: Option<NonZeroU32>,
}

impl Config {
    /// Reads `RATE_LIMIT_PER_S` (0: no limit), the database's settings and the listener's.
    pub fn read(settings: &mut Settings) -> Self {
        Self {
            database: DatabaseSettings::read(settings),
            public: TlsFiles::read(settings),
            rate_limit_per_s: desk::read_rate_limit(settings),
        }
    }
}

/// A payment provider; clones share it.
#[derive(Clone)]
pub struct Provider {
    ledger: Ledger,
    desk: Desk<Kind>,
    metrics: ProviderMetrics,
}

#[derive(Clone)]
struct ProviderMetrics {
    asked: Counters,
    booked: Counters,
}

impl ProviderMetrics {
    fn asked(&self, kind: Kind) {
        self.asked
            .get_or_create(&vec![("kind", kind.as_str().to_owned())])
            .inc();
    }

    fn booked(&self, kind: Kind) {
        self.booked
            .get_or_create(&vec![("kind", kind.as_str().to_owned())])
            .inc();
    }
}

impl Provider {
    /// A provider on a migrated database. `work` tracks bookings that must be finished before the process ends.
    pub fn new(
        pool: Pool,
        rate_limit_per_s: Option<NonZeroU32>,
        metrics: &Metrics,
        work: TaskTracker,
    ) -> Self {
        service_kit::fail_point::register(&[AFTER_BOOKING]);
        Self {
            ledger: Ledger::new(pool),
            desk: Desk::new(rate_limit_per_s, work),
            metrics: ProviderMetrics {
                asked: metrics.counters("provider_requests", "Requests to charge or refund"),
                booked: metrics.counters("provider_bookings", "Charges and refunds booked"),
            },
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
