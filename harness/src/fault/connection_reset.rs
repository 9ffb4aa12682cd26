//! `connection_reset`: connections end with a TCP reset.

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

/// Connections of a link end with a TCP reset as soon as data comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionReset {
    /// The link, `client -> server`.
    pub link: LinkName,
    /// Which way data goes that brings the reset about.
    #[serde(default = "answers")]
    pub direction: Direction,
    /// Milliseconds between the data, which is swallowed, and the reset.
    #[serde(default)]
    pub after_ms: u64,
    /// Share of the connections that are reset, from 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
}

fn answers() -> Direction {
    Direction::Answers
}

impl FaultKind for ConnectionReset {
    const NAME: &'static str = "connection_reset";
    const EXAMPLE: &'static str =
        r#"When the fault "order-database-resets" is injected until it was felt 5 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::ConnectionsReset];

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
            toxic: "reset_peer",
            direction: self.direction,
            share: self.share,
            attributes: vec![("timeout", json!(self.after_ms))],
            reading: |counts| counts.connections_cut,
        };
        Ok(Box::new(on_link.put_in_force(&scene).await?))
    }
}
