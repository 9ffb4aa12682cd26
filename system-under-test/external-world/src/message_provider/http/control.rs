//! The control API: the mailbox as it is, and the scripts. For the drill only; it is not part of the public API.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::control;
use crate::message_provider::Provider;
use crate::problem::Problem;

/// Router of the control API.
pub fn router(provider: Provider) -> Router {
    let scripts = control::scripts(provider.desk.scripts());
    Router::new()
        .route("/control/mailbox", get(mailbox))
        .with_state(provider)
        .merge(scripts)
}

async fn mailbox(State(provider): State<Provider>) -> Result<Response, Problem> {
    Ok(Json(provider.mailbox.snapshot().await?).into_response())
}
