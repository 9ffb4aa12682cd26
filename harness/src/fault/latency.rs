//! `latency`: everything arrives, but late.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Cause, Direction, LinkName, Mistake, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    on_links::OnLink,
};

/// Everything on a link arrives, in order, but late.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The link, `client -> server`.
    pub link: LinkName,
    /// Which way data goes that is late.
    #[serde(default)]
    pub direction: Direction,
    /// How late, in milliseconds.
    #[schemars(range(min = 1))]
    pub delay_ms: u64,
    /// Up to this much more or less, drawn for every piece of data, in milliseconds.
    #[serde(default)]
    pub jitter_ms: u64,
    /// Share of the connections that are slow, from 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
}

pub(super) fn all() -> f64 {
    1.0
}

/// Refuses a share that is none.
pub(super) fn share_mistakes(share: f64) -> Vec<Mistake> {
    if share > 0.0 && share <= 1.0 {
        return Vec::new();
    }
    vec![Mistake::new(
        "share",
        format!("a share of {share} is not possible"),
        "give a number above 0 and up to 1",
    )]
}

impl FaultKind for Latency {
    const NAME: &'static str = "latency";
    const EXAMPLE: &'static str =
        r#"When the fault "provider-link-slow" is injected until it was felt 20 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::DelayedData];

    fn target(&self) -> String {
        self.link.to_string()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("link", Named::Link(&self.link))]
    }

    fn mistakes(&self) -> Vec<Mistake> {
        share_mistakes(self.share)
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let on_link = OnLink {
            link: &self.link,
            toxic: "latency",
            direction: self.direction,
            share: self.share,
            attributes: vec![
                ("latency", json!(self.delay_ms)),
                ("jitter", json!(self.jitter_ms)),
            ],
            reading: |counts| counts.delayed,
        };
        Ok(Box::new(on_link.put_in_force(&scene).await?))
    }
}
