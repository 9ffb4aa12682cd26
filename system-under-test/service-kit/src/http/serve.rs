//! Listeners, plain and TLS: every request is observed, a panic is an answer, shutdown is graceful and bounded.

use std::any::Any;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use super::cross_origin::{self, CrossOrigin};
use super::error::ApiError;
use crate::health::Health;
use crate::metrics::{Counters, Durations, Metrics};
use crate::settings::Settings;
use crate::trace::{TRACEPARENT, Trace};

/// Limits of a listener.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Larger bodies are refused with 413. Bytes.
    pub body_bytes: usize,
    /// A client that has not sent its headers by then is disconnected; so is one that keeps an idle connection.
    pub header_read: Duration,
    /// A TLS handshake that takes longer is given up.
    pub tls_handshake: Duration,
}

impl HttpLimits {
    /// Reads `HTTP_BODY_LIMIT_BYTES`, `HTTP_HEADER_READ_LIMIT_MS` and `TLS_HANDSHAKE_LIMIT_MS`.
    pub fn read(settings: &mut Settings) -> Self {
        Self {
            body_bytes: settings.number(
                "HTTP_BODY_LIMIT_BYTES",
                65_536,
                1..=16_777_216,
                "larger bodies are refused with 413",
            ),
            header_read: settings.duration_ms(
                "HTTP_HEADER_READ_LIMIT_MS",
                60_000,
                "clients that sent no headers by then are disconnected; so are idle ones",
            ),
            tls_handshake: settings.duration_ms(
                "TLS_HANDSHAKE_LIMIT_MS",
                10_000,
                "a TLS handshake that takes longer is given up",
            ),
        }
    }
}

/// Where a TLS listener listens and what it shows.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub private_key: PathBuf,
    /// How often the two files are looked at, so that a renewed certificate is shown; `None`: only at start.
    pub reload_every: Option<Duration>,
}

impl TlsFiles {
    /// Reads `LISTEN_PUBLIC`, `CERTIFICATE_FILE`, `PRIVATE_KEY_FILE` and `CERTIFICATE_RELOAD_MS`.
    pub fn read(settings: &mut Settings) -> Self {
        settings.in_group("HTTPS", Self::read_all)
    }

    fn read_all(settings: &mut Settings) -> Self {
        Self {
            listen: settings
                .required_address("LISTEN_PUBLIC", "where the public API is served over TLS"),
            certificate: settings
                .required_path("CERTIFICATE_FILE", "the path of a certificate chain in PEM"),
            private_key: settings
                .required_path("PRIVATE_KEY_FILE", "the path of a private key in PEM"),
            reload_every: Some(Duration::from_millis(settings.number(
                "CERTIFICATE_RELOAD_MS",
                1_000,
                10..=86_400_000,
                "how often both files are looked at again",
            ))),
        }
    }
}

/// How requests of one process are counted; shared by its listeners.
#[derive(Clone)]
pub struct Observation {
    /// How often a changed certificate was taken up or refused.
    pub(crate) certificates: Counters,
    requests: Counters,
    durations: Durations,
}

impl Observation {
    /// Registers the metrics of HTTP requests.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            certificates: metrics.counters(
                "tls_certificate_reloads",
                "Changed certificates of a listener, by result",
            ),
            requests: metrics.counters(
                "http_requests",
                "HTTP requests answered, by route and status",
            ),
            durations: metrics.durations(
                "http_request_seconds",
                "Time to answer an HTTP request, by route",
            ),
        }
    }
}

/// Wraps the routes of an API: requests before the end of start-up are refused with 503, the body is limited, every
/// request has a trace and is counted, a panic is answered with 500. `pages` may call from a browser, if it is given.
pub fn observed(
    api: Router,
    health: Health,
    observation: Observation,
    limits: HttpLimits,
    pages: Option<CrossOrigin>,
) -> Router {
    let routes = api
        .fallback(|| async { ApiError::not_found("there is no such route") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "the route does not know this method",
            )
        })
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(middleware::from_fn_with_state(health, refuse_until_started));
    let routes = match pages {
        Some(pages) => routes.layer(middleware::from_fn_with_state(
            Arc::new(pages),
            cross_origin::guard,
        )),
        None => routes,
    };
    routes.layer(middleware::from_fn_with_state(observation, observe))
}

async fn refuse_until_started(
    State(health): State<Health>,
    request: Request,
    next: Next,
) -> Response {
    if health.has_started() {
        return next.run(request).await;
    }
    let message = "the service is still starting";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "starting", message).into_response()
}

async fn observe(State(observation): State<Observation>, request: Request, next: Next) -> Response {
    let header = request
        .headers()
        .get(TRACEPARENT)
        .and_then(|value| value.to_str().ok());
    let trace = Trace::continued(header);
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let span = tracing::info_span!(
        "request",
        trace_id = trace.id(),
        method = %request.method(),
        path = request.uri().path(),
        order_id = tracing::field::Empty,
    );
    let begun = Instant::now();
    let mut response = trace
        .scope(next.run(request).instrument(span.clone()))
        .await;
    let elapsed = begun.elapsed();
    let status = response.status();
    span.in_scope(|| {
        tracing::debug!(
            status = status.as_u16(),
            elapsed_ms = elapsed.as_secs_f64() * 1e3,
            "answered"
        )
    });
    let labels = vec![
        ("route", route.clone()),
        ("status", status.as_u16().to_string()),
    ];
    observation.requests.get_or_create(&labels).inc();
    observation
        .durations
        .get_or_create(&vec![("route", route)])
        .observe(elapsed.as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&trace.to_string()) {
        response.headers_mut().insert(TRACEPARENT, value);
    }
    response
}

fn answer_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    ApiError::internal(format!("panic: {text}")).into_response()
}

/// Binds a listener, so that an address that is taken is an error at start.
///
/// # Errors
/// The address cannot be bound.
pub fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves plain HTTP until `handle` shuts it down.
///
/// # Errors
/// The listener failed.
pub async fn serve_plain(
    listener: std::net::TcpListener,
    routes: Router,
    limits: HttpLimits,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    server
        .http_builder()
        .http1()
        .header_read_timeout(limits.header_read);
    server
        .serve(routes.into_make_service_with_connect_info::<SocketAddr>())
        .await
}

/// Serves HTTPS until `handle` shuts it down.
///
/// # Errors
/// The listener failed.
pub async fn serve_tls(
    listener: std::net::TcpListener,
    certificate: RustlsConfig,
    routes: Router,
    limits: HttpLimits,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let acceptor = RustlsAcceptor::new(certificate).handshake_timeout(limits.tls_handshake);
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(acceptor)
        .handle(handle);
    server
        .http_builder()
        .http1()
        .header_read_timeout(limits.header_read);
    server
        .serve(routes.into_make_service_with_connect_info::<SocketAddr>())
        .await
}
