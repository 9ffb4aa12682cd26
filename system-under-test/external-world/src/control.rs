//! The part of the control API that every role has: its scripts. For the drill only; not part of the public API.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};

use crate::problem::Problem;
use crate::script::{RequestKind, ScriptReport, ScriptSpec, Scripts};

/// Routes that show, set and remove scripts.
pub fn scripts<K: RequestKind>(scripts: Arc<Scripts<K>>) -> Router {
    Router::new()
        .route("/control/scripts", get(list::<K>))
        .route("/control/scripts/{name}", put(set::<K>).delete(remove::<K>))
        .with_state(scripts)
}

async fn list<K: RequestKind>(
    State(scripts): State<Arc<Scripts<K>>>,
) -> Json<BTreeMap<String, ScriptReport<K>>> {
    Json(scripts.list())
}

async fn set<K: RequestKind>(
    State(scripts): State<Arc<Scripts<K>>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let spec: ScriptSpec<K> = match serde_json::from_slice(&body) {
        Ok(spec) => spec,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error),
    };
    match scripts.put(&name, spec) {
        Ok(()) => {
            tracing::warn!(script = %name, "a script was set");
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => refuse(StatusCode::UNPROCESSABLE_ENTITY, error),
    }
}

async fn remove<K: RequestKind>(
    State(scripts): State<Arc<Scripts<K>>>,
    Path(name): Path<String>,
) -> Response {
    match scripts.remove(&name) {
        Some(report) => Json(report).into_response(),
        None => {
            let known: Vec<_> = scripts.list().into_keys().collect();
            refuse(
                StatusCode::NOT_FOUND,
                format!("no script {name}; there are {known:?}"),
            )
        }
    }
}

fn refuse(status: StatusCode, message: impl ToString) -> Response {
    Problem::new(status, "script", message).into_response()
}
