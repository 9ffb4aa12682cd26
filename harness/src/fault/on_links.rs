//! What the faults of links share: a toxic on every proxy that a link name means.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Cause, LinkName,
    in_force::{InForce, Scene},
};
use crate::{
    mechanism::toxiproxy::{ProxyControl, Stream, Toxic, ToxicCounts},
    testbed::Pipeline,
};

/// Which way data goes that a fault hurts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the client to the server.
    Requests,
    /// From the server to the client.
    Answers,
    /// Both ways.
    #[default]
    Both,
}

impl Direction {
    pub(crate) fn streams(self) -> &'static [Stream] {
        match self {
            Self::Requests => &[Stream::Upstream],
            Self::Answers => &[Stream::Downstream],
            Self::Both => &[Stream::Upstream, Stream::Downstream],
        }
    }
}

/// The proxies that a link name means; at least one.
pub(crate) fn proxies(
    pipeline: &dyn Pipeline,
    link: &LinkName,
) -> Result<Vec<ProxyControl>, Cause> {
    let found: Vec<ProxyControl> = pipeline
        .links(&link.0)?
        .iter()
        .map(|link| ProxyControl::at(&link.api_url, &link.name))
        .collect();
    if found.is_empty() {
        return Err(Cause::NoTarget {
            target: format!("link {link}"),
            remedy: "name a link of the topology".to_owned(),
        });
    }
    Ok(found)
}

/// What a toxic's counters say about the fault being felt.
pub(crate) type Reading = fn(&ToxicCounts) -> u64;

/// A toxic to put on every proxy of a link.
pub(crate) struct OnLink<'a> {
    pub(crate) link: &'a LinkName,
    pub(crate) toxic: &'static str,
    pub(crate) direction: Direction,
    pub(crate) share: f64,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) reading: Reading,
}

/// Toxics in force.
pub(crate) struct Toxics {
    placed: Vec<(ProxyControl, String)>,
    left: Vec<usize>,
    reading: Reading,
}

impl OnLink<'_> {
    /// Adds the toxics; if one is refused, those already added are taken back.
    pub(crate) async fn put_in_force(&self, scene: &Scene) -> Result<Toxics, Cause> {
        let mut toxics = Toxics {
            placed: Vec::new(),
            left: Vec::new(),
            reading: self.reading,
        };
        for proxy in proxies(scene.pipeline.as_ref(), self.link)? {
            for stream in self.direction.streams() {
                let toxic = self.toxic_on(*stream, scene);
                let added = proxy.add_toxic(&toxic).await;
                toxics.left.push(toxics.placed.len());
                toxics.placed.push((proxy.clone(), toxic.name));
                if let Err(refusal) = added {
                    let mut failures = vec![Cause::from(refusal)];
                    failures.extend(toxics.take_back().await.err());
                    Cause::of_all(failures)?;
                }
            }
        }
        Ok(toxics)
    }

    fn toxic_on(&self, stream: Stream, scene: &Scene) -> Toxic {
        let way = match stream {
            Stream::Upstream => "requests",
            Stream::Downstream => "answers",
        };
        Toxic {
            name: format!("{}-{way}", scene.label()),
            kind: self.toxic.to_owned(),
            stream,
            toxicity: self.share,
            attributes: self
                .attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        }
    }
}

impl Toxics {
    /// The sum over all proxies.
    pub(crate) async fn count(&self) -> Result<u64, Cause> {
        let mut sum = 0;
        for (proxy, toxic) in &self.placed {
            let counts = proxy.counts().await?;
            sum += counts.toxics.get(toxic).map_or(0, self.reading);
        }
        Ok(sum)
    }

    /// Removes what is still there, all of it, whatever fails in between.
    pub(crate) async fn take_back(&mut self) -> Result<Vec<String>, Cause> {
        let mut restored = Vec::new();
        let mut failures = Vec::new();
        let mut left = Vec::new();
        for index in std::mem::take(&mut self.left) {
            let (proxy, toxic) = &self.placed[index];
            match proxy.remove_toxic(toxic).await {
                Ok(()) => restored.push(format!("{} passes data as before", proxy.name())),
                Err(failure) => {
                    failures.push(Cause::from(failure));
                    left.push(index);
                }
            }
        }
        self.left = left;
        Cause::of_all(failures)?;
        restored.dedup();
        Ok(restored)
    }
}

impl InForce for Toxics {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(self.count())
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(self.take_back())
    }
}
