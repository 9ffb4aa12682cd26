//! Facts from a JSON answer.

use std::collections::BTreeMap;

use firedrill_oracle::record::{Fact, FactKind};
use serde_json::{Map, Value};

use super::{Endpoint, fields::fact};
use crate::testbed::Pipeline;

/// Asks the component's instances in turn until one answers.
pub(super) async fn ask(
    client: &reqwest::Client,
    pipeline: &dyn Pipeline,
    endpoint: &Endpoint,
) -> Result<Value, String> {
    let mut last = format!("`{}` has no instances", endpoint.component);
    for instance in pipeline.instances(&endpoint.component) {
        let Some(address) = pipeline.address(&instance, &endpoint.port) else {
            last = format!("{instance} has no port `{}`", endpoint.port);
            continue;
        };
        let url = format!("http://{address}{}", endpoint.path);
        match ask_one(client, &url).await {
            Ok(answer) => return Ok(answer),
            Err(problem) => last = format!("{instance}: {problem}"),
        }
    }
    Err(last)
}

/// Asks every instance of the component; all must answer.
pub(super) async fn ask_all(
    client: &reqwest::Client,
    pipeline: &dyn Pipeline,
    endpoint: &Endpoint,
) -> Result<Vec<Value>, String> {
    let mut answers = Vec::new();
    for instance in pipeline.instances(&endpoint.component) {
        let address = pipeline
            .address(&instance, &endpoint.port)
            .ok_or_else(|| format!("{instance} has no port `{}`", endpoint.port))?;
        let answer = ask_one(client, &format!("http://{address}{}", endpoint.path)).await;
        answers.push(answer.map_err(|problem| format!("{instance}: {problem}"))?);
    }
    Ok(answers)
}

async fn ask_one(client: &reqwest::Client, url: &str) -> Result<Value, String> {
    let response = client
        .get(url)
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("{url} answered {status}"));
    }
    let body = response.bytes().await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body).map_err(|error| format!("{url} did not answer JSON: {error}"))
}

/// The facts in an answer; what was understood before an error is in `facts`.
pub(super) fn read(
    answer: &Value,
    list: &str,
    mapping: &BTreeMap<String, String>,
    kind: FactKind,
    facts: &mut Vec<Fact>,
) -> Result<(), String> {
    let elements = answer
        .pointer(list)
        .and_then(Value::as_array)
        .ok_or_else(|| format!("the answer has no list at `{list}`"))?;
    for element in elements {
        let mut row = Map::new();
        for (field, name) in mapping {
            let Some(value) = element.get(name) else {
                return Err(format!("an element of `{list}` has no `{name}`"));
            };
            row.insert(field.clone(), value.clone());
        }
        facts.push(fact(kind, row)?);
    }
    Ok(())
}
