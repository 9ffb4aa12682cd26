//! The control API: the ledger as it is, and the scripts. For the drill only; it is not part of the public API.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::control;
use crate::payment_provider::Provider;
use crate::problem::Problem;

/// Router of the control API.
pub fn router(provider: Provider) -> Router {
    let scripts = control::scripts(provider.desk.scripts());
    Router::new()
        .route("/control/ledger", get(ledger))
        .with_state(provider)
        .merge(scripts)
}

async fn ledger(State(provider): State<Provider>) -> Result<Response, Problem> {
    Ok(Json(provider.ledger.snapshot().await?).into_response())
}
