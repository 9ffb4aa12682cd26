//! The HTTP API: Toxiproxy's, with its paths, status codes and JSON, and our own under `/firedrill`.
//!
//! | method and path | does |
//! |---|---|
//! | `GET /firedrill/counters` | what every proxy counted, by name |
//! | `GET /firedrill/proxies/{proxy}/counters` | what one proxy counted |
//! | `GET`, `POST /firedrill/proxies/{proxy}/kafka-rules` | the Kafka rules in force; adds one |
//! | `DELETE /firedrill/proxies/{proxy}/kafka-rules/{rule}` | removes one |

mod error;
mod firedrill;
mod proxies;
mod server;
mod toxics;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use crate::registry::Registry;
use error::Refusal;
pub use server::ApiServer;

/// The version of Toxiproxy whose API this is.
pub const TOXIPROXY_VERSION: &str = "2.12.0";

/// The longest request body: a thousand proxies fit in.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The routes over a registry.
pub fn router(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/proxies", get(proxies::index).post(proxies::create))
        .route(
            "/proxies/{proxy}",
            get(proxies::show)
                .post(proxies::update)
                .patch(proxies::update)
                .delete(proxies::delete),
        )
        .route(
            "/proxies/{proxy}/toxics",
            get(toxics::index).post(toxics::create),
        )
        .route(
            "/proxies/{proxy}/toxics/{toxic}",
            get(toxics::show)
                .post(toxics::update)
                .patch(toxics::update)
                .delete(toxics::delete),
        )
        .route("/populate", post(proxies::populate))
        .route("/reset", post(proxies::reset))
        .route("/version", get(version))
        .route("/firedrill/counters", get(firedrill::counters))
        .route(
            "/firedrill/proxies/{proxy}/counters",
            get(firedrill::proxy_counters),
        )
        .route(
            "/firedrill/proxies/{proxy}/kafka-rules",
            get(firedrill::kafka_rules).post(firedrill::add_kafka_rule),
        )
        .route(
            "/firedrill/proxies/{proxy}/kafka-rules/{rule}",
            axum::routing::delete(firedrill::remove_kafka_rule),
        )
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(stop_browsers))
        .with_state(registry)
}

async fn version() -> Response {
    let body = json!({ "version": TOXIPROXY_VERSION, "faultproxy": env!("CARGO_PKG_VERSION") });
    (
        [(header::CONTENT_TYPE, "application/json;charset=utf-8")],
        body.to_string(),
    )
        .into_response()
}

/// A web page must not be able to command a proxy on the machine of who looks at it.
async fn stop_browsers(request: Request, next: Next) -> Response {
    let agent = request.headers().get(header::USER_AGENT);
    if agent.is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/")) {
        return (StatusCode::FORBIDDEN, "User agent not allowed\n").into_response();
    }
    next.run(request).await
}

/// Reads a JSON body whatever its content type says, as Toxiproxy does.
fn body<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| Refusal::bad_body(&error.to_string()))
}

/// What a successful request is answered.
type Answer = Result<Json<serde_json::Value>, Refusal>;
