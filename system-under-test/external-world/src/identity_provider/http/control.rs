//! The control API: the scripts, the signing keys, and tokens with a flaw. For the drill only; it is not part of the
//! public API.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::public::now_s;
use crate::control;
use crate::identity_provider::Provider;
use crate::identity_provider::domain::{Claims, Flaw, check_customer, flawed};
use crate::identity_provider::store::StoreError;
use crate::problem::Problem;

/// Longest time that a replaced key may stay published: a day, in seconds.
const KEEP_LIMIT_S: u32 = 86_400;

/// Router of the control API.
pub fn router(provider: Provider) -> Router {
    let scripts = control::scripts(provider.desk.scripts());
    Router::new()
        .route("/control/keys", get(keys))
        .route("/control/keys/rotate", post(rotate))
        .route("/control/tokens", post(bad_token))
        .with_state(provider)
        .merge(scripts)
}

async fn keys(State(provider): State<Provider>) -> Result<Response, Problem> {
    Ok(Json(provider.store.keys().await?).into_response())
}

/// Body of `POST /control/keys/rotate`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// How long the old key stays in the key set, in seconds.
    keep_old_s: u32,
}

async fn rotate(State(provider): State<Provider>, body: Bytes) -> Result<Response, Problem> {
    let rotation: Rotation = serde_json::from_slice(&body).map_err(Problem::invalid)?;
    if rotation.keep_old_s > KEEP_LIMIT_S {
        let message = format!("keep_old_s must be at most {KEEP_LIMIT_S}");
        return Err(Problem::invalid(message));
    }
    let kid = provider.store.rotate(rotation.keep_old_s).await?;
    tracing::warn!(
        kid,
        keep_old_s = rotation.keep_old_s,
        "the signing key was rotated"
    );
    Ok((StatusCode::CREATED, Json(json!({ "kid": kid }))).into_response())
}

/// Body of `POST /control/tokens`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BadToken {
    customer_id: String,
    flaw: Flaw,
}

async fn bad_token(State(provider): State<Provider>, body: Bytes) -> Result<Response, Problem> {
    let wanted: BadToken = serde_json::from_slice(&body).map_err(Problem::invalid)?;
    check_customer(&wanted.customer_id)?;
    let key = provider.store.signing_key(false).await?;
    let claims = Claims::new(&provider.tokens, &wanted.customer_id, now_s());
    let token = flawed(wanted.flaw, claims, &key).map_err(StoreError::from)?;
    Ok(Json(json!({ "access_token": token })).into_response())
}
