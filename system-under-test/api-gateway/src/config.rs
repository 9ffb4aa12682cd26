//! The gateway's settings.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;
use service_kit::defences::Defences;
use service_kit::http::{CrossOrigin, TlsFiles};
use service_kit::names::{Endpoint, Names};
use service_kit::settings::Settings;

use crate::defences::Protection;
use crate::firewall::Firewall;
use crate::http::EdgeLimits;
use crate::limit::ClientLimit;
use crate::route::{RouteTable, Upstream};
use crate::token::Expected;
use crate::token::keys::KeySource;
use crate::upstream::UpstreamLimits;
use crate::upstream::rotation::EjectionPolicy;

/// Requests in a second that a client may send on average, unless a setting says otherwise.
const RATE_PER_S: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// Requests that a client may send at once, unless a setting says otherwise.
const BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Settings of the gateway.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the public API is served.
    pub public: TlsFiles,
    /// Pages that may call the public API.
    pub pages: CrossOrigin,
    /// Which path leads to which service.
    pub routes: RouteTable,
    /// Instances of each service.
    pub services: BTreeMap<Upstream, Vec<Endpoint>>,
    /// Where names are looked up.
    pub names: Names,
    /// Whose tokens are good.
    pub tokens: Expected,
    /// Where the keys come from that tokens are checked with; none when nobody checks them.
    pub keys: Option<KeySource>,
    /// Bounds of what customers may do.
    pub edge: EdgeLimits,
    /// What looks like an attack.
    pub firewall: Firewall,
    /// Bounds of what is done to each service.
    pub upstream: UpstreamLimits,
    /// Which protections are on.
    pub defences: Defences<Protection>,
}

impl Config {
    /// Reads the settings.
    pub fn read(settings: &mut Settings) -> Self {
        let defences: Defences<Protection> = settings.defences();
        let verifies = defences.on(Protection::JwtVerification);
        Self {
            public: TlsFiles::read(settings),
            pages: CrossOrigin::read(settings),
            routes: routes(settings),
            services: Upstream::ALL
                .into_iter()
                .map(|service| {
                    let meaning = format!("the instances of {service}");
                    let instances = settings.required_endpoints(service.setting(), &meaning);
                    (service, instances)
                })
                .collect(),
            names: Names::read(settings),
            tokens: Expected {
                issuer: settings.text("TOKEN_ISSUER", "", "whose tokens are good"),
                audience: settings.text("TOKEN_AUDIENCE", "", "whom tokens must be for"),
                leeway: settings.duration_s("TOKEN_LEEWAY_S", 5, "how far clocks may differ"),
            },
            keys: verifies.then(|| keys(settings)),
            edge: edge(settings),
            firewall: firewall(settings),
            upstream: upstream(settings),
            defences,
        }
    }
}

fn routes(settings: &mut Settings) -> RouteTable {
    let text = settings.text(
        "ROUTES",
        "",
        "which paths lead where, /stock=inventory-service,...; the public API's without it",
    );
    if text.is_empty() {
        return RouteTable::default();
    }
    RouteTable::parse(&text).unwrap_or_else(|problems| {
        for problem in problems {
            settings.problem("ROUTES", problem);
        }
        RouteTable::default()
    })
}

fn keys(settings: &mut Settings) -> KeySource {
    settings.required_text(
        "TOKEN_ISSUER",
        "the identity provider's name in tokens, such as https://identity.example",
    );
    settings.required_text(
        "TOKEN_AUDIENCE",
        "this API's name in tokens, such as https://api.shop.example",
    );
    let provider = settings.required_text(
        "IDENTITY_PROVIDER_URL",
        "where the identity provider is, such as https://127.0.0.1:8443",
    );
    KeySource {
        url: format!("{}/.well-known/jwks.json", provider.trim_end_matches('/')),
        authority_file: settings.required_path(
            "CA_FILE",
            "the path of the certificates, in PEM, that the identity provider's may come from",
        ),
        timeout: settings.duration_ms(
            "KEYS_TIMEOUT_MS",
            2_000,
            "how long fetching the keys may take",
        ),
        interval: Duration::from_secs(settings.number(
            "KEYS_REFRESH_S",
            60,
            1..=86_400,
            "how often they are fetched anew",
        )),
        pause: settings.duration_ms("KEYS_PAUSE_MS", 500, "shortest pause between two fetches"),
    }
}

fn edge(settings: &mut Settings) -> EdgeLimits {
    let rate = settings.number(
        "CLIENT_RATE_PER_S",
        RATE_PER_S,
        NonZeroU32::MIN..=NonZeroU32::MAX,
        "requests in a second that a client may send on average",
    );
    let burst = settings.number(
        "CLIENT_BURST",
        BURST,
        NonZeroU32::MIN..=NonZeroU32::MAX,
        "requests that a client may send at once",
    );
    EdgeLimits {
        body_bytes: settings.number(
            "BODY_LIMIT_BYTES",
            65_536,
            1..=16_777_216,
            "larger bodies are refused with 413",
        ),
        deadline: settings.duration_ms(
            "REQUEST_DEADLINE_MS",
            10_000,
            "how long a request may take in all",
        ),
        in_flight: settings.number(
            "REQUESTS_IN_FLIGHT",
            1_024,
            1..=100_000,
            "requests in work at once; more are refused with 503",
        ),
        client: ClientLimit {
            quota: Quota::per_second(rate).allow_burst(burst),
            clients: settings.number(
                "CLIENTS_REMEMBERED",
                10_000,
                1..=1_000_000,
                "clients whose requests are counted",
            ),
        },
    }
}

fn firewall(settings: &mut Settings) -> Firewall {
    let words = settings.text(
        "WAF_FORBIDDEN_WORDS",
        "",
        "words that no request may hold, separated by commas",
    );
    let words = words.split(',').map(|word| word.trim().to_lowercase());
    Firewall {
        header_bytes: settings.number(
            "WAF_HEADER_LIMIT_BYTES",
            8_192,
            256..=1_048_576,
            "names and values of all headers of a request together; with more it is refused",
        ),
        forbidden_words: words.filter(|word| !word.is_empty()).collect(),
    }
}

fn upstream(settings: &mut Settings) -> UpstreamLimits {
    UpstreamLimits {
        connect: settings.duration_ms(
            "UPSTREAM_CONNECT_MS",
            1_000,
            "how long a connection to an instance may take to come about",
        ),
        attempt: settings.duration_ms(
            "UPSTREAM_ATTEMPT_MS",
            3_000,
            "how long one attempt at an instance may take",
        ),
        attempts: settings.number(
            "UPSTREAM_ATTEMPTS",
            2,
            1..=10,
            "attempts at instances, where a request may be sent again",
        ),
        idle_connections: settings.number(
            "UPSTREAM_IDLE_CONNECTIONS",
            64,
            0..=10_000,
            "idle connections to an instance that are kept",
        ),
        answer_bytes: settings.number(
            "UPSTREAM_ANSWER_LIMIT_BYTES",
            4_194_304,
            1_024..=67_108_864,
            "larger answers of an instance count as failed",
        ),
        retry_percent: settings.number(
            "RETRY_BUDGET_PERCENT",
            10,
            0..=100,
            "how many repetitions there may be to a hundred requests",
        ),
        retry_min_per_s: settings.number(
            "RETRY_BUDGET_MIN_PER_S",
            1,
            0..=10_000,
            "repetitions in a second that are allowed however few requests there are",
        ),
        retry_window: Duration::from_secs(settings.number(
            "RETRY_BUDGET_WINDOW_S",
            10,
            1..=60,
            "the time over which both are counted",
        )),
        ejection: EjectionPolicy {
            failures: settings.number(
                "EJECTION_FAILURES",
                3,
                1..=1_000,
                "failures in a row with which an instance gets no requests for a while",
            ),
            base: settings.duration_ms(
                "EJECTION_BASE_MS",
                2_000,
                "how long at first; doubles each time",
            ),
            cap: settings.duration_ms("EJECTION_CAP_MS", 60_000, "how long at most"),
        },
        probe_interval: Duration::from_millis(settings.number(
            "EJECTION_PROBE_INTERVAL_MS",
            250,
            1..=60_000,
            "how often ejected instances are looked at",
        )),
        readiness: settings.duration_ms(
            "READINESS_LIMIT_MS",
            1_000,
            "how long an instance may take to say whether it is ready",
        ),
        readiness_interval: Duration::from_millis(settings.number(
            "READINESS_INTERVAL_MS",
            1_000,
            1..=60_000,
            "how often it is asked",
        )),
    }
}
