//! `connection_timeout`: data stops, the connection stays.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Cause, Direction, LinkName, Mistake, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    latency::{all, share_mistakes},
    on_links::OnLink,
};

/// Data on a link stops while its connections stay open, so that each side waits for the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionTimeout {
    /// The link, `client -> server`.
    pub link: LinkName,
    /// Which way data goes that is swallowed.
    #[serde(default)]
    pub direction: Direction,
    /// Milliseconds after which a silent connection is closed; 0 keeps it until the fault heals.
    #[serde(default)]
    pub close_after_ms: u64,
    /// Share of the connections that fall silent, from 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
}

impl FaultKind for ConnectionTimeout {
    const NAME: &'static str = "connection_timeout";
    const EXAMPLE: &'static str = r#"When the fault "provider-silent" is injected for 2 seconds"#;
    const WITNESSES: &'static [Witness] = &[Witness::SwallowedData];

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
            toxic: "timeout",
            direction: self.direction,
            share: self.share,
            attributes: vec![("timeout", json!(self.close_after_ms))],
            reading: |counts| counts.acted,
        };
        Ok(Box::new(on_link.put_in_force(&scene).await?))
    }
}
