//! `external_script`: a party that the company does not own misbehaves in a scripted way.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Cause, Mistake, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    latency::{all, share_mistakes},
};
use crate::mechanism::external_scripts::ExternalWorld;

/// A party that the company does not own misbehaves: fails before or after it booked, answers slowly, not at all, or wrongly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalScript {
    /// The component that misbehaves, `payment-provider`.
    pub component: String,
    /// What it does.
    pub behaviour: Behaviour,
    /// HTTP status of a failure.
    #[serde(default)]
    #[schemars(range(min = 400, max = 599))]
    pub status: Option<u16>,
    /// Milliseconds that a slow answer takes longer.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// Requests per second above which `rate_limit` refuses.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub requests_per_second: Option<u32>,
    /// Share of the requests that are hurt, from 0 to 1, drawn by the drill's seed.
    #[serde(default = "all")]
    pub share: f64,
    /// How many requests are hurt before all are answered well again; no end when it is left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub times: Option<u64>,
    /// Which requests are meant; all when it is left out.
    #[serde(default)]
    pub request: Option<ProviderRequest>,
}

/// What a party outside does to its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Fails, and nothing was booked.
    FailBeforeBooking,
    /// Fails, although it was booked.
    FailAfterBooking,
    /// Answers 200 with an error in the body.
    ErrorBody,
    /// Answers late.
    Slow,
    /// Never answers.
    Hang,
    /// Answers 429 above a number of requests per second.
    RateLimit,
    /// Refuses for good: the card is declined, the recipient not accepted.
    Decline,
    /// Serves the version of its API no more that was served so far.
    RetireVersion,
}

/// What a provider is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderRequest {
    /// Money is taken.
    Charge,
    /// Money is given back.
    Refund,
    /// An e-mail is delivered.
    Email,
    /// An SMS is delivered.
    Sms,
}

impl ExternalScript {
    fn script(&self, seed: u64) -> Value {
        let mut script = json!({
            "behaviour": self.behaviour,
            "share": self.share,
            "seed": seed,
        });
        let options = [
            ("status", json!(self.status)),
            ("delay_ms", json!(self.delay_ms)),
            ("requests_per_second", json!(self.requests_per_second)),
            ("times", json!(self.times)),
            ("kind", json!(self.request)),
        ];
        for (name, value) in options {
            if !value.is_null() {
                script[name] = value;
            }
        }
        script
    }
}

impl FaultKind for ExternalScript {
    const NAME: &'static str = "external_script";
    const EXAMPLE: &'static str =
        r#"When the fault "provider-fails-after-booking" is injected until it was felt 5 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::ScriptActed];

    fn target(&self) -> String {
        self.component.clone()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("component", Named::Component(&self.component))]
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = share_mistakes(self.share);
        let needs = match self.behaviour {
            Behaviour::Slow if self.delay_ms.is_none() => Some("delay_ms"),
            Behaviour::RateLimit if self.requests_per_second.is_none() => {
                Some("requests_per_second")
            }
            _ => None,
        };
        if let Some(key) = needs {
            mistakes.push(Mistake::new(
                "behaviour",
                format!("this behaviour needs `{key}`"),
                format!("add `{key} = ...`"),
            ));
        }
        mistakes
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let worlds: Vec<(String, ExternalWorld)> = scene
            .pipeline
            .instances(&self.component)
            .into_iter()
            .filter_map(|instance| {
                let address = scene.pipeline.address(&instance, "http")?;
                Some((instance, ExternalWorld::at(address)))
            })
            .collect();
        if worlds.is_empty() {
            return Err(Cause::NoTarget {
                target: format!("control port `http` of {}", self.component),
                remedy: "name a component of the external world".to_owned(),
            });
        }
        let mut scripts = Scripts {
            name: scene.label(),
            worlds,
        };
        let script = self.script(scene.seed);
        for (_, world) in &scripts.worlds {
            if let Err(refusal) = world.put(&scripts.name, &script).await {
                let mut failures = vec![Cause::from(refusal)];
                failures.extend(scripts.remove().await.err());
                Cause::of_all(failures)?;
                break;
            }
        }
        Ok(Box::new(scripts))
    }
}

struct Scripts {
    name: String,
    worlds: Vec<(String, ExternalWorld)>,
}

impl Scripts {
    async fn remove(&mut self) -> Result<Vec<String>, Cause> {
        let mut restored = Vec::new();
        let mut failures = Vec::new();
        for (instance, world) in &self.worlds {
            match world.remove(&self.name).await {
                Ok(()) => restored.push(format!("{instance} behaves well")),
                Err(failure) => failures.push(Cause::from(failure)),
            }
        }
        Cause::of_all(failures)?;
        Ok(restored)
    }
}

impl InForce for Scripts {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async {
            let mut sum = 0;
            for (_, world) in &self.worlds {
                sum += world.acted(&self.name).await?.unwrap_or(0);
            }
            Ok(sum)
        })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(self.remove())
    }
}
