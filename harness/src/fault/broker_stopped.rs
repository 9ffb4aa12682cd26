//! `broker_stopped`: the queue itself is away.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cause, LinkName, Mistake, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    messages_duplicated::access,
    on_links::proxies,
};
use crate::mechanism::{broker::EmbeddedBroker, toxiproxy::ProxyControl};

/// The broker stops: connections end and new ones are refused; what it stored is still there when it starts again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrokerStopped {
    /// The links to the broker, `client -> broker`: all that lead to it.
    #[schemars(length(min = 1))]
    pub links: Vec<LinkName>,
}

impl FaultKind for BrokerStopped {
    const NAME: &'static str = "broker_stopped";
    const EXAMPLE: &'static str = r#"When the fault "queue-unavailable" is injected for 2 seconds"#;
    const WITNESSES: &'static [Witness] = &[Witness::NoServer];

    fn target(&self) -> String {
        let brokers: BTreeSet<&str> = self
            .links
            .iter()
            .map(|link| link.0.server.as_str())
            .collect();
        brokers.into_iter().collect::<Vec<_>>().join(", ")
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        self.links
            .iter()
            .map(|link| ("links", Named::Link(link)))
            .collect()
    }

    fn mistakes(&self) -> Vec<Mistake> {
        if self.links.is_empty() {
            return vec![Mistake::new(
                "links",
                "no link to the broker is named",
                "write `links = [\"client -> broker\", ...]`",
            )];
        }
        Vec::new()
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let broker = EmbeddedBroker::of(&access(scene.pipeline.as_ref())?)?;
        let mut addresses = BTreeSet::new();
        let mut watched = Vec::new();
        for link in &self.links {
            for proxy in proxies(scene.pipeline.as_ref(), link)? {
                addresses.insert(proxy.upstream().await?);
                let before = proxy.counts().await?.upstream_failures;
                watched.push((proxy, before));
            }
        }
        let listeners = broker.listeners_at(&addresses);
        if listeners.is_empty() {
            return Err(Cause::NoTarget {
                target: format!("listener of the broker behind {}", self.target()),
                remedy: "name the links that lead to the broker".to_owned(),
            });
        }
        let mut stopped = Stopped {
            name: self.target(),
            broker,
            watched,
            left: Vec::new(),
        };
        for listener in listeners {
            let down = stopped.broker.take_down(&listener).await;
            stopped.left.push(listener);
            if let Err(refusal) = down {
                let mut failures = vec![Cause::from(refusal)];
                failures.extend(stopped.start().await.err());
                Cause::of_all(failures)?;
            }
        }
        Ok(Box::new(stopped))
    }
}

struct Stopped {
    name: String,
    broker: EmbeddedBroker,
    /// The proxies that see clients looking for the broker, each with what it had counted before.
    watched: Vec<(ProxyControl, u64)>,
    left: Vec<String>,
}

impl Stopped {
    async fn start(&mut self) -> Result<Vec<String>, Cause> {
        let mut failures = Vec::new();
        let mut left = Vec::new();
        for listener in std::mem::take(&mut self.left) {
            if let Err(failure) = self.broker.bring_up(&listener).await {
                failures.push(Cause::from(failure));
                left.push(listener);
            }
        }
        self.left = left;
        Cause::of_all(failures)?;
        Ok(vec![format!("{} accepts connections", self.name)])
    }
}

impl InForce for Stopped {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async {
            let mut sum = 0;
            for (proxy, before) in &self.watched {
                sum += proxy
                    .counts()
                    .await?
                    .upstream_failures
                    .saturating_sub(*before);
            }
            Ok(sum)
        })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(self.start())
    }
}
