//! `dns_answers`: whoever asks where a server is gets no useful answer.

use futures::future::BoxFuture;
use local_name_server::Answer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cause, LinkName, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
};
use crate::testbed::ServerName;

/// The clients of a link ask their DNS server where the servers are, and are not told.
///
/// Connections that stand are spared: whoever has found the way before goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsAnswers {
    /// The link, `client -> server`.
    pub link: LinkName,
    /// What the clients are told.
    pub answer: DnsAnswer,
}

/// What a DNS server says that does not say where a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DnsAnswer {
    /// That there is no such name (NXDOMAIN).
    Unknown,
    /// That it fails itself (SERVFAIL).
    ServerFailing,
    /// Nothing at all.
    Silent,
}

impl From<DnsAnswer> for Answer {
    fn from(answer: DnsAnswer) -> Self {
        match answer {
            DnsAnswer::Unknown => Self::Unknown,
            DnsAnswer::ServerFailing => Self::ServerFailing,
            DnsAnswer::Silent => Self::Silent,
        }
    }
}

impl FaultKind for DnsAnswers {
    const NAME: &'static str = "dns_answers";
    const EXAMPLE: &'static str =
        r#"When the fault "shop-name-unknown" is injected until it was felt 20 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::MisleadingAnswers];

    fn target(&self) -> String {
        self.link.to_string()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("link", Named::Link(&self.link))]
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let answer = Answer::from(self.answer);
        let misled = scene.pipeline.names(&self.link.0)?;
        let misled = misled.into_iter().map(|name| {
            let before = name.name_server.asked(&name.name).times(answer);
            name.name_server.answer(&name.name, answer);
            (name, before)
        });
        Ok(Box::new(Misled {
            names: misled.collect(),
            answer,
        }))
    }
}

/// Names that are answered with something else than where they are.
struct Misled {
    /// Each with how often that was answered before.
    names: Vec<(ServerName, u64)>,
    answer: Answer,
}

impl InForce for Misled {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        let counts = self.names.iter().map(|(name, before)| {
            let asked = name.name_server.asked(&name.name);
            asked.times(self.answer).saturating_sub(*before)
        });
        let sum = counts.sum();
        Box::pin(async move { Ok(sum) })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        let restored = self.names.iter().map(|(name, _)| {
            name.name_server.answer(&name.name, Answer::Address);
            format!("{} is told where {} is", name.client, name.server)
        });
        let restored = restored.collect();
        Box::pin(async move { Ok(restored) })
    }
}
