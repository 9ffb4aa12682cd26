//! What every service offers to those who run it: health, metrics, and control of its fail-points.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::error::ApiError;
use super::json::StrictJson;
use crate::fail_point::{self, Order};
use crate::health::Health;
use crate::metrics::{CONTENT_TYPE, Metrics};

/// The routes under `/health`, `/metrics` and, when fail-points may be armed, `/control/fail-points`.
pub fn routes(health: Health, metrics: Metrics, fail_points: bool) -> Router {
    let control = Router::new()
        .route("/control/fail-points", get(list_fail_points))
        .route(
            "/control/fail-points/{name}",
            axum::routing::put(arm_fail_point),
        );
    let routes = Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready).with_state(health))
        .route("/metrics", get(show_metrics).with_state(metrics));
    if fail_points {
        routes.merge(control)
    } else {
        routes
    }
}

async fn ready(State(health): State<Health>) -> Response {
    let readiness = health.readiness().await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness)).into_response()
}

async fn show_metrics(State(metrics): State<Metrics>) -> Result<impl IntoResponse, ApiError> {
    let text = metrics.text().map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}

async fn list_fail_points() -> impl IntoResponse {
    Json(fail_point::standings())
}

async fn arm_fail_point(
    Path(name): Path<String>,
    StrictJson(order): StrictJson<Order>,
) -> Result<Response, ApiError> {
    if fail_point::arm(&name, order) {
        tracing::info!(name, ?order, "fail-point armed");
        return Ok(Json(fail_point::standings().remove(&name)).into_response());
    }
    let known: Vec<_> = fail_point::standings().into_keys().collect();
    let message = format!(
        "there is no fail-point `{name}`; this service has {}",
        known.join(", ")
    );
    Err(ApiError::not_found(message))
}
