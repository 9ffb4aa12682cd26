//! The control API: the ledger as it is, and the scripts. For the drill only; it is not part of the public API.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::json;

use super::answer::Problem;
use crate::payment_provider::Provider;
use crate::payment_provider::script::{ScriptReport, ScriptSpec};

/// Router of the control API.
pub fn router(provider: Provider) -> Router {
    Router::new()
        .route("/control/ledger", get(ledger))
        .route("/control/scripts", get(scripts))
        .route(
            "/control/scripts/{name}",
            put(set_script).delete(remove_script),
        )
        .with_state(provider)
}

async fn ledger(State(provider): State<Provider>) -> Result<Response, Problem> {
    Ok(Json(provider.ledger.snapshot().await?).into_response())
}

async fn scripts(State(provider): State<Provider>) -> Json<BTreeMap<String, ScriptReport>> {
    Json(provider.scripts.list())
}

async fn set_script(
    State(provider): State<Provider>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let spec: ScriptSpec = match serde_json::from_slice(&body) {
        Ok(spec) => spec,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error),
    };
    match provider.scripts.put(&name, spec) {
        Ok(()) => {
            tracing::warn!(script = %name, "a script was set");
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => refuse(StatusCode::UNPROCESSABLE_ENTITY, error),
    }
}

async fn remove_script(State(provider): State<Provider>, Path(name): Path<String>) -> Response {
    match provider.scripts.remove(&name) {
        Some(report) => Json(report).into_response(),
        None => {
            let known: Vec<_> = provider.scripts.list().into_keys().collect();
            refuse(
                StatusCode::NOT_FOUND,
                format!("no script {name}; there are {known:?}"),
            )
        }
    }
}

fn refuse(status: StatusCode, message: impl ToString) -> Response {
    let body = json!({ "error": { "code": "script", "message": message.to_string() } });
    (status, Json(body)).into_response()
}
