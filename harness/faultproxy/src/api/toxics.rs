//! `/proxies/{proxy}/toxics`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::Refusal;
use super::{Answer, body};
use crate::registry::Registry;
use crate::toxic::{Toxic, ToxicError};

type Proxies = State<Arc<Registry>>;

/// What of a toxic can be changed; what is left out stays.
#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    attributes: Map<String, Value>,
    toxicity: Option<f64>,
}

pub(super) async fn index(State(registry): Proxies, Path(proxy): Path<String>) -> Answer {
    let proxy = registry.get(&proxy).await?;
    Ok(Json(proxy.toxics().iter().map(Toxic::to_json).collect()))
}

pub(super) async fn create(
    State(registry): Proxies,
    Path(proxy): Path<String>,
    bytes: Bytes,
) -> Answer {
    let proxy = registry.get(&proxy).await?;
    let toxic = Toxic::from_json(&bytes)?;
    let shown = toxic.to_json();
    // Its counters are read by name, so the handle is not needed.
    let _handle = proxy.add_toxic(toxic)?;
    Ok(Json(shown))
}

pub(super) async fn show(
    State(registry): Proxies,
    Path((proxy, toxic)): Path<(String, String)>,
) -> Answer {
    let proxy = registry.get(&proxy).await?;
    let toxic = proxy.toxic(&toxic).ok_or(ToxicError::NotFound)?;
    Ok(Json(toxic.to_json()))
}

pub(super) async fn update(
    State(registry): Proxies,
    Path((proxy, name)): Path<(String, String)>,
    bytes: Bytes,
) -> Answer {
    let proxy = registry.get(&proxy).await?;
    let toxic = proxy.toxic(&name).ok_or(ToxicError::NotFound)?;
    let change: Change = body(&bytes)?;
    let kind = toxic.kind.with_attributes(change.attributes)?;
    let changed = proxy.update_toxic(&name, kind, change.toxicity.unwrap_or(toxic.toxicity))?;
    Ok(Json(changed.to_json()))
}

pub(super) async fn delete(
    State(registry): Proxies,
    Path((proxy, toxic)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    registry.get(&proxy).await?.remove_toxic(&toxic)?;
    Ok(StatusCode::NO_CONTENT)
}
