//! Files and configuration, each with what a browser is told to refuse.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use crate::config::Config;
use crate::defences::Defence;
use crate::page::{FILES, File};

/// What the page needs to know, `/config.json`.
#[derive(Debug, Serialize)]
struct PageConfig<'a> {
    gateway_url: &'a str,
    identity_url: Option<&'a str>,
    pay_timeout_ms: u128,
    read_timeout_ms: u128,
    status_interval_ms: u128,
    retry_same_key: bool,
    backoff_on_429: bool,
    revalidate_cache: bool,
}

/// The routes of the page.
///
/// # Errors
/// The configuration cannot be written as JSON or as a header.
pub fn routes(config: &Config) -> anyhow::Result<Router> {
    let policy = HeaderValue::from_str(&content_security_policy(config))?;
    let page_config = serde_json::to_string(&page_config(config))?;
    let mut routes = Router::new();
    for file in FILES {
        routes = routes.route(file.path, get(async move || serve(file)));
    }
    let served = async move || {
        (
            [(header::CONTENT_TYPE, "application/json")],
            page_config.clone(),
        )
    };
    let verify = config.defences.on(Defence::TlsVerify);
    let protect = move |request, next: Next| protect(policy.clone(), verify, request, next);
    Ok(routes
        .route("/config.json", get(served))
        .layer(middleware::from_fn(protect)))
}

fn serve(file: File) -> Response {
    ([(header::CONTENT_TYPE, file.content_type)], file.text).into_response()
}

fn page_config(config: &Config) -> PageConfig<'_> {
    PageConfig {
        gateway_url: &config.gateway_url,
        identity_url: config.identity_url.as_deref(),
        pay_timeout_ms: config.pay_timeout.as_millis(),
        read_timeout_ms: config.read_timeout.as_millis(),
        status_interval_ms: config.status_interval.as_millis(),
        retry_same_key: config.defences.on(Defence::RetrySameKey),
        backoff_on_429: config.defences.on(Defence::BackoffOn429),
        revalidate_cache: config.defences.on(Defence::RevalidateCache),
    }
}

/// Scripts and styles of our own only, none inside the page; connections to the gateway and the identity provider only.
fn content_security_policy(config: &Config) -> String {
    let identity = config.identity_url.as_deref().unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self' {} {identity}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        config.gateway_url
    )
}

async fn protect(
    policy: HeaderValue,
    verify: bool,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let text = HeaderValue::from_static;
    if verify {
        // With it nobody can be talked into going on past a certificate that is not to be believed (RFC 6797, 12.1).
        let for_a_year = text("max-age=31536000");
        response
            .headers_mut()
            .insert(header::STRICT_TRANSPORT_SECURITY, for_a_year);
    }
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, text("nosniff")),
        (header::REFERRER_POLICY, text("no-referrer")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            text("same-origin"),
        ),
        // A page of an older program with a configuration of a newer one helps nobody.
        (header::CACHE_CONTROL, text("no-cache")),
    ];
    response.headers_mut().extend(headers);
    response
}
