//! The service's settings.

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

use crate::defences::Protection;
use crate::payment::Pursuit;
use crate::provider::backoff::Backoff;
use crate::provider::breaker::BreakerPolicy;
use crate::provider::drain::DrainLimits;
use crate::provider::gate::GateLimits;

/// Calls to the provider in a second, unless a setting says otherwise.
const RATE_PER_S: NonZeroU32 = NonZeroU32::new(200).unwrap();

/// Settings of the payment service.
#[derive(Debug, Clone)]
pub struct Config {
    /// The payments' database.
    pub database: DatabaseSettings,
    /// The queue.
    pub kafka: KafkaSettings,
    /// Base URL of the provider.
    pub provider_url: String,
    /// Certificates that the provider's must descend from, PEM.
    pub ca_file: PathBuf,
    /// Where names are looked up.
    pub names: Names,
    /// How long calls to the provider may take.
    pub calls: CallLimits,
    /// How often the trusted certificates are looked at again.
    pub ca_reload: Duration,
    /// Bounds of all calls together.
    pub gate: GateLimits,
    /// How a payment is pursued.
    pub pursuit: Pursuit,
    /// How long one payment is pursued before the queue is told that it takes longer.
    pub patience: Duration,
    /// Which protections are on.
    pub defences: Defences<Protection>,
}

impl Config {
    /// Reads the settings.
    pub fn read(settings: &mut Settings) -> Self {
        let defences = settings.defences();
        let kafka = KafkaSettings {
            only_blame_counts: defences.on(Protection::RetryPolicy),
            ..KafkaSettings::read(settings)
        };
        let database = DatabaseSettings {
            follows_password: defences.on(Protection::SecretReload),
            ..DatabaseSettings::read(settings)
        };
        Self {
            database,
            kafka,
            provider_url: provider_url(settings),
            ca_file: settings.required_path("CA_FILE", "the path of trusted certificates in PEM"),
            names: Names::read(settings),
            calls: calls(settings, &defences),
            ca_reload: Duration::from_millis(settings.number(
                "CA_RELOAD_MS",
                5_000,
                10..=3_600_000,
                "how often that file is looked at again",
            )),
            gate: gate(settings),
            pursuit: pursuit(settings),
            patience: Duration::from_millis(settings.number(
                "PAYMENT_PATIENCE_MS",
                30_000,
                1..=3_600_000,
                "how long one command is worked on before the queue offers it again",
            )),
            defences,
        }
    }
}

fn provider_url(settings: &mut Settings) -> String {
    let meaning = "an address such as https://127.0.0.1:8443";
    let text = settings.required_text("PROVIDER_URL", meaning);
    let is_https = Url::parse(&text).is_ok_and(|url| url.scheme() == "https" && url.has_host());
    if !text.is_empty() && !is_https {
        settings.problem("PROVIDER_URL", format!("`{text}` is not {meaning}"));
    }
    text
}

fn calls(settings: &mut Settings, defences: &Defences<Protection>) -> CallLimits {
    let connect = settings.duration_ms(
        "PROVIDER_CONNECT_MS",
        2_000,
        "how long a connection to the provider may take to come about",
    );
    let total = settings.duration_ms(
        "PROVIDER_TIMEOUT_MS",
        5_000,
        "how long a call may take in all",
    );
    let bounded = defences.on(Protection::RequestTimeout);
    CallLimits {
        connect: bounded.then_some(connect),
        total: bounded.then_some(total),
        idle_connections: settings.number(
            "PROVIDER_IDLE_CONNECTIONS",
            16,
            0..=1_000,
            "idle connections to the provider that are kept",
        ),
    }
}

fn gate(settings: &mut Settings) -> GateLimits {
    GateLimits {
        rate_per_s: settings.number(
            "PROVIDER_RATE_PER_S",
            RATE_PER_S,
            NonZeroU32::MIN..=NonZeroU32::MAX,
            "calls in a second that this instance makes",
        ),
        slow_start: settings.duration_ms(
            "SLOW_START_MS",
            10_000,
            "after the first call the rate grows so long until it is the full one",
        ),
        drain: DrainLimits {
            backlog: settings.number(
                "DRAIN_BACKLOG",
                1_000,
                1..=1_000_000_000,
                "messages behind an instance from which on DRAIN_RATE_PER_S holds",
            ),
            rate_per_s: settings.number(
                "DRAIN_RATE_PER_S",
                RATE_PER_S,
                NonZeroU32::MIN..=NonZeroU32::MAX,
                "calls in a second that all instances make together then",
            ),
        },
        concurrency: settings.number(
            "PROVIDER_CONCURRENCY",
            8,
            1..=1_000,
            "calls of this instance at once",
        ),
        breaker: BreakerPolicy {
            failures: settings.number(
                "BREAKER_FAILURES",
                10,
                1..=10_000,
                "failures in a row that open the circuit",
            ),
            open_for: Duration::from_millis(settings.number(
                "BREAKER_OPEN_MS",
                2_000,
                1..=600_000,
                "how long it stays open",
            )),
            probes: settings.number(
                "BREAKER_PROBES",
                2,
                1..=100,
                "calls that try then whether it may close",
            ),
            half_open: true,
        },
        retry_percent: settings.number(
            "RETRY_BUDGET_PERCENT",
            20,
            0..=100,
            "how many repetitions there may be to a hundred calls",
        ),
        retry_min_per_s: settings.number(
            "RETRY_BUDGET_MIN_PER_S",
            5,
            1..=10_000,
            "repetitions in a second that are allowed however few calls there are",
        ),
        retry_window: Duration::from_secs(settings.number(
            "RETRY_BUDGET_WINDOW_S",
            10,
            1..=60,
            "the time over which both are counted",
        )),
    }
}

fn pursuit(settings: &mut Settings) -> Pursuit {
    Pursuit {
        attempts_per_round: settings.number(
            "PAYMENT_ATTEMPTS",
            4,
            1..=100,
            "attempts before doubt is cleared up",
        ),
        backoff: Backoff {
            base: settings.duration_ms(
                "BACKOFF_BASE_MS",
                200,
                "pause after the first failed attempt; doubles each time",
            ),
            cap: settings.duration_ms("BACKOFF_CAP_MS", 5_000, "longest pause between attempts"),
            jitter: true,
        },
        seed: settings
            .optional_number(
                "JITTER_SEED",
                0..=u64::MAX,
                "what the jitter of pauses is drawn from; another one at each start without it",
            )
            .unwrap_or_else(|| u64::from(std::process::id())),
    }
}
