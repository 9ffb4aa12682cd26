//! `connection_cut`: the connection ends in the middle of what is said, above all before the answer.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Cause, Direction, LinkName, Mistake, Named, Witness, component_of,
    in_force::{InForce, Scene},
    kind::FaultKind,
    latency::{all, share_mistakes},
    on_links::{OnLink, Reading, Toxics},
};
use crate::{mechanism::external_scripts::ExternalWorld, testbed::Pipeline, topology::Protocol};

/// Connections of a link are cut in the middle: with `after_bytes = 0` the request goes through and its answer is lost.
///
/// On a link that speaks TLS the handshake passes, so that the request really reaches the server. The server's side stays
/// open until it has answered: from its point of view nothing went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionCut {
    /// The link, `client -> server`.
    pub link: LinkName,
    /// Which way data goes that is cut off: `answers` (requests still get through) or `requests`.
    #[serde(default = "answers")]
    pub direction: Direction,
    /// Bytes in that direction that still pass on each connection. 0 loses whole answers.
    #[serde(default)]
    pub after_bytes: u64,
    /// How many answers are lost on each link between two instances before all pass again; no end when it is left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub times: Option<u64>,
    /// Share of the answers (of the connections, with `after_bytes`) that are cut off, from 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
}

fn answers() -> Direction {
    Direction::Answers
}

impl ConnectionCut {
    fn loses_whole_answers(&self) -> bool {
        self.direction == Direction::Answers && self.after_bytes == 0
    }

    async fn lose_answers(&self, scene: &Scene) -> Result<Toxics, Cause> {
        let links = scene.pipeline.links(&self.link.0)?;
        let all_tls = links.iter().all(|link| link.protocol == Protocol::Https);
        let mut attributes = vec![
            ("protocol", json!(if all_tls { "tls" } else { "auto" })),
            ("share", json!(self.share)),
        ];
        attributes.extend(self.times.map(|times| ("times", json!(times))));
        let on_link = OnLink {
            link: &self.link,
            toxic: "lose_answer",
            direction: Direction::Answers,
            share: 1.0,
            attributes,
            reading: |counts| counts.answers_lost,
        };
        on_link.put_in_force(scene).await
    }

    async fn cut_after_bytes(&self, scene: &Scene) -> Result<Toxics, Cause> {
        let reading: Reading = match scene.witness {
            Witness::AnswersLost => |counts| counts.answers_lost,
            _ => |counts| counts.connections_cut,
        };
        let on_link = OnLink {
            link: &self.link,
            toxic: "limit_data",
            direction: self.direction,
            share: self.share,
            attributes: vec![("bytes", json!(self.after_bytes))],
            reading,
        };
        on_link.put_in_force(scene).await
    }
}

impl FaultKind for ConnectionCut {
    const NAME: &'static str = "connection_cut";
    const EXAMPLE: &'static str =
        r#"When the fault "provider-charged-answer-lost" is injected until it was felt 10 times"#;
    const WITNESSES: &'static [Witness] = &[
        Witness::AnswersLost,
        Witness::ConnectionsCut,
        Witness::ChargesWithoutAnswer,
    ];

    fn target(&self) -> String {
        self.link.to_string()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("link", Named::Link(&self.link))]
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = share_mistakes(self.share);
        if self.direction == Direction::Both {
            mistakes.push(Mistake::new(
                "direction",
                "a cut off answer and a cut off request are two faults",
                "write `answers` or `requests`",
            ));
        }
        if self.times.is_some() && !self.loses_whole_answers() {
            mistakes.push(Mistake::new(
                "times",
                "only whole answers can be counted",
                "leave `times` out, or cut answers after 0 bytes",
            ));
        }
        mistakes
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let ledger = match scene.witness {
            Witness::ChargesWithoutAnswer => {
                Some(NewCharges::from_now_on(scene.pipeline.as_ref(), &self.link).await?)
            }
            _ => None,
        };
        let toxics = if self.loses_whole_answers() {
            self.lose_answers(&scene).await?
        } else {
            self.cut_after_bytes(&scene).await?
        };
        Ok(Box::new(Cut { toxics, ledger }))
    }
}

struct Cut {
    toxics: Toxics,
    ledger: Option<NewCharges>,
}

impl InForce for Cut {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async {
            let lost = self.toxics.count().await?;
            match &self.ledger {
                Some(ledger) if lost > 0 => Ok(lost.min(ledger.count().await?)),
                _ => Ok(lost),
            }
        })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(self.toxics.take_back())
    }
}

/// What the provider's own ledger has gained since the fault came into force.
struct NewCharges {
    worlds: Vec<ExternalWorld>,
    known: BTreeSet<String>,
}

impl NewCharges {
    async fn from_now_on(pipeline: &dyn Pipeline, link: &LinkName) -> Result<Self, Cause> {
        let server = link.0.server.as_str();
        let instances = match pipeline.instances(server) {
            instances if instances.is_empty() => pipeline
                .instances(component_of(server).unwrap_or(server))
                .into_iter()
                .filter(|instance| instance == server)
                .collect(),
            instances => instances,
        };
        let worlds: Vec<ExternalWorld> = instances
            .iter()
            .filter_map(|instance| pipeline.address(instance, "http"))
            .map(ExternalWorld::at)
            .collect();
        if worlds.is_empty() {
            return Err(Cause::NoTarget {
                target: format!("ledger of {server}"),
                remedy: format!("take another witness, {}", Witness::AnswersLost),
            });
        }
        let mut this = Self {
            worlds,
            known: BTreeSet::new(),
        };
        this.known = this.booked().await?;
        Ok(this)
    }

    async fn booked(&self) -> Result<BTreeSet<String>, Cause> {
        let mut booked = BTreeSet::new();
        for world in &self.worlds {
            let ledger = world.ledger().await?;
            booked.extend(ledger.charges.into_iter().map(|charge| charge.charge_id));
        }
        Ok(booked)
    }

    async fn count(&self) -> Result<u64, Cause> {
        Ok(self.booked().await?.difference(&self.known).count() as u64)
    }
}
