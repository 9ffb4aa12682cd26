//! The identity provider: knows the shop's customers and gives them short-lived signed tokens.
//!
//! * [`domain`]: what may be asked, what a token says, and what can be wrong with one
//! * [`store`]: all SQL
//! * [`password`]: passwords, as they are kept
//! * [`http`]: the public API and the control API

use std::num::{NonZeroU32, NonZeroU64};

use service_kit::database::{DatabaseSettings, Pool, migrate};
use service_kit::http::{CrossOrigin, TlsFiles};
use service_kit::metrics::{Counters, Metrics};
use service_kit::service::Service;
use service_kit::settings::Settings;
use tokio_util::task::TaskTracker;

use crate::Addresses;
use crate::desk::{self, Desk};
use domain::Ask;
use store::Store;

pub mod domain;
pub mod http;
pub mod password;
pub mod store;

/// The moment between issuing a token and answering.
pub const AFTER_ISSUING: &str = "identity-provider.after-issuing-before-answer";

/// The database's migrations: file name and text.
pub const MIGRATIONS: &[(&str, &str)] = &[(
    "0001_identity.sql",
    include_str!("../../migrations/identity-provider/0001_identity.sql"),
)];

/// What the OWASP recommends for PBKDF2 with SHA-256.
const HASH_ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();
/// Lifetime of a token unless a setting says otherwise, in seconds.
const TOKEN_LIFETIME_S: NonZeroU64 = NonZeroU64::new(300).unwrap();

/// Settings of the identity provider.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database of customers and keys.
    pub database: DatabaseSettings,
    /// Where the public API is served.
    pub public: TlsFiles,
    /// Pages that may call the public API.
    pub pages: CrossOrigin,
    /// Requests in a second that clients may send; none for no limit.
    pub rate_limit_per_s: Option<NonZeroU32>,
    /// How tokens are made.
    pub tokens: TokenSettings,
}

/// How tokens are made.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// `iss` of the tokens.
    pub issuer: String,
    /// `aud` of the tokens.
    pub audience: String,
    /// How long a token is good for, in seconds.
    pub lifetime_s: NonZeroU64,
    /// How long caches may keep the key set, in seconds.
    pub keys_max_age_s: u64,
    /// Rounds of PBKDF2 for a password.
    pub hash_rounds: NonZeroU32,
}

impl Config {
    /// Reads `TOKEN_ISSUER`, `TOKEN_AUDIENCE`, `TOKEN_LIFETIME_S`, `KEYS_MAX_AGE_S`, `PASSWORD_HASH_ROUNDS`,
    /// `ALLOWED_ORIGINS`, `RATE_LIMIT_PER_S` (0: no limit), the database's settings and the listener's.
    pub fn read(settings: &mut Settings) -> Self {
        Self {
            database: DatabaseSettings::read(settings),
            public: TlsFiles::read(settings),
            pages: CrossOrigin::read(settings),
            rate_limit_per_s: desk::read_rate_limit(settings),
            tokens: TokenSettings {
                issuer: settings.required_text(
                    "TOKEN_ISSUER",
                    "the name of this provider in tokens, such as https://identity.example",
                ),
                audience: settings.required_text(
                    "TOKEN_AUDIENCE",
                    "whom tokens are for, such as https://api.shop.example",
                ),
                lifetime_s: settings.number(
                    "TOKEN_LIFETIME_S",
                    TOKEN_LIFETIME_S,
                    NonZeroU64::MIN..=NonZeroU64::new(86_400).unwrap_or(NonZeroU64::MAX),
                    "how long a token is good for",
                ),
                keys_max_age_s: settings.number(
                    "KEYS_MAX_AGE_S",
                    300,
                    0..=86_400,
                    "how long caches may keep the key set",
                ),
                hash_rounds: settings.number(
                    "PASSWORD_HASH_ROUNDS",
                    HASH_ROUNDS,
                    NonZeroU32::MIN..=NonZeroU32::new(10_000_000).unwrap_or(NonZeroU32::MAX),
                    "rounds of PBKDF2 for a password",
                ),
            },
        }
    }
}

/// An identity provider; clones share it.
#[derive(Clone)]
pub struct Provider {
    store: Store,
    desk: Desk<Ask>,
    tokens: TokenSettings,
    asked: Counters,
}

impl Provider {
    /// A provider on a migrated database. `work` tracks what must be finished before the process ends.
    pub fn new(
        pool: Pool,
        rate_limit_per_s: Option<NonZeroU32>,
        tokens: TokenSettings,
        metrics: &Metrics,
        work: TaskTracker,
    ) -> Self {
        service_kit::fail_point::register(&[AFTER_ISSUING]);
        Self {
            store: Store::new(pool),
            desk: Desk::new(rate_limit_per_s, work),
            tokens,
            asked: metrics.counters("identity_requests", "Requests to the identity provider"),
        }
    }
}

/// Starts the provider: database, a first key, control API, public API.
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
        config.tokens,
        &service.metrics,
        work,
    );
    let http = service.serve_http(http::control::router(provider.clone()))?;
    migrate(&pool, MIGRATIONS, &service.shutdown).await?;
    provider.store.ensure_key().await?;
    let public = service
        .serve_tls_to_pages(&config.public, http::public::router(provider), config.pages)
        .await?;
    Ok(Addresses { http, public })
}
