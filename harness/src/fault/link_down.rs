//! `link_down`: nobody is reached through the link any more.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cause, LinkName, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    on_links::proxies,
};
use crate::mechanism::toxiproxy::ProxyControl;

/// A link is down: its open connections are cut, new ones are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkDown {
    /// The link, `client -> server`.
    pub link: LinkName,
}

impl FaultKind for LinkDown {
    const NAME: &'static str = "link_down";
    const EXAMPLE: &'static str =
        r#"When the fault "order-queue-link-down" is injected for 2 seconds"#;
    const WITNESSES: &'static [Witness] = &[Witness::ConnectionsCut];

    fn target(&self) -> String {
        self.link.to_string()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("link", Named::Link(&self.link))]
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let mut down = Down {
            closed: Vec::new(),
            left: Vec::new(),
        };
        for proxy in proxies(scene.pipeline.as_ref(), &self.link)? {
            let before = proxy.counts().await?.cut_by_down;
            let closed = proxy.set_enabled(false).await;
            down.left.push(down.closed.len());
            down.closed.push((proxy, before));
            if let Err(refusal) = closed {
                let mut failures = vec![Cause::from(refusal)];
                failures.extend(down.open().await.err());
                Cause::of_all(failures)?;
            }
        }
        Ok(Box::new(down))
    }
}

struct Down {
    /// Each with what its proxy had counted before.
    closed: Vec<(ProxyControl, u64)>,
    left: Vec<usize>,
}

impl Down {
    async fn open(&mut self) -> Result<Vec<String>, Cause> {
        let mut restored = Vec::new();
        let mut failures = Vec::new();
        let mut left = Vec::new();
        for index in std::mem::take(&mut self.left) {
            let (proxy, _) = &self.closed[index];
            match proxy.set_enabled(true).await {
                Ok(()) => restored.push(format!("{} accepts connections", proxy.name())),
                Err(failure) => {
                    failures.push(Cause::from(failure));
                    left.push(index);
                }
            }
        }
        self.left = left;
        Cause::of_all(failures)?;
        Ok(restored)
    }
}

impl InForce for Down {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async {
            let mut sum = 0;
            for (proxy, before) in &self.closed {
                sum += proxy.counts().await?.cut_by_down.saturating_sub(*before);
            }
            Ok(sum)
        })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(self.open())
    }
}
