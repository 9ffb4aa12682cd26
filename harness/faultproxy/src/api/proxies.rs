//! `/proxies`, `/populate`, `/reset`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::error::Refusal;
use super::{Answer, body};
use crate::proxy::{FaultProxy, Mode};
use crate::registry::{Registry, Wanted};

type Proxies = State<Arc<Registry>>;

/// A proxy as Toxiproxy shows it; Kafka mode, which it does not have, is an additional field.
fn shown(proxy: &FaultProxy) -> Value {
    let mut shown = json!({
        "name": proxy.name(),
        "listen": proxy.address().to_string(),
        "upstream": proxy.upstream(),
        "enabled": proxy.is_enabled(),
        "toxics": proxy.toxics().iter().map(crate::Toxic::to_json).collect::<Vec<_>>(),
    });
    if let Mode::Kafka(settings) = proxy.mode() {
        shown["kafka"] = json!(settings);
    }
    shown
}

pub(super) async fn index(State(registry): Proxies) -> Json<Value> {
    let proxies = registry.all().await;
    let by_name: Map<_, _> = proxies
        .iter()
        .map(|proxy| (proxy.name().to_owned(), shown(proxy)))
        .collect();
    Json(Value::Object(by_name))
}

pub(super) async fn create(
    State(registry): Proxies,
    bytes: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let proxy = registry.create(body::<Wanted>(&bytes)?).await?;
    Ok((StatusCode::CREATED, Json(shown(&proxy))))
}

pub(super) async fn show(State(registry): Proxies, Path(name): Path<String>) -> Answer {
    Ok(Json(shown(&*registry.get(&name).await?)))
}

pub(super) async fn update(
    State(registry): Proxies,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Answer {
    registry.get(&name).await?;
    let proxy = registry.update(&name, &body::<Wanted>(&bytes)?).await?;
    Ok(Json(shown(&proxy)))
}

pub(super) async fn delete(
    State(registry): Proxies,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    registry.remove(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn populate(State(registry): Proxies, bytes: Bytes) -> (StatusCode, Json<Value>) {
    let populated = match body::<Vec<Wanted>>(&bytes) {
        Ok(wanted) => registry.populate(wanted).await.map_err(Refusal::from),
        Err(refusal) => Err(refusal),
    };
    match populated {
        Ok(proxies) => {
            let proxies: Vec<_> = proxies.iter().map(|proxy| shown(proxy)).collect();
            (StatusCode::CREATED, Json(json!({ "proxies": proxies })))
        }
        Err(refusal) => {
            let mut answer = refusal.to_json();
            answer["proxies"] = Value::Null;
            (refusal.status(), Json(answer))
        }
    }
}

pub(super) async fn reset(State(registry): Proxies) -> Result<StatusCode, Refusal> {
    registry.reset().await?;
    Ok(StatusCode::NO_CONTENT)
}
