//! Our own additions: counters and Kafka rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::body;
use super::error::Refusal;
use crate::counters::ProxyCounts;
use crate::kafka::KafkaRule;
use crate::registry::Registry;

type Proxies = State<Arc<Registry>>;

pub(super) async fn counters(State(registry): Proxies) -> Json<BTreeMap<String, ProxyCounts>> {
    Json(registry.counters().await)
}

pub(super) async fn proxy_counters(
    State(registry): Proxies,
    Path(proxy): Path<String>,
) -> Result<Json<ProxyCounts>, Refusal> {
    Ok(Json(registry.get(&proxy).await?.counters()))
}

pub(super) async fn kafka_rules(
    State(registry): Proxies,
    Path(proxy): Path<String>,
) -> Result<Json<Vec<KafkaRule>>, Refusal> {
    Ok(Json(registry.get(&proxy).await?.kafka_rules()))
}

pub(super) async fn add_kafka_rule(
    State(registry): Proxies,
    Path(proxy): Path<String>,
    bytes: Bytes,
) -> Result<(StatusCode, Json<KafkaRule>), Refusal> {
    let proxy = registry.get(&proxy).await?;
    let rule: KafkaRule = body(&bytes)?;
    // Its counters are read by name, so the handle is not needed.
    let _handle = proxy.add_kafka_rule(rule.clone())?;
    Ok((StatusCode::CREATED, Json(rule)))
}

pub(super) async fn remove_kafka_rule(
    State(registry): Proxies,
    Path((proxy, rule)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    registry.get(&proxy).await?.remove_kafka_rule(&rule)?;
    Ok(StatusCode::NO_CONTENT)
}
