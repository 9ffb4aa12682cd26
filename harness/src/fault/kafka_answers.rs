//! `kafka_answers`: single requests to the broker go wrong, by API, topic and count.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Cause, LinkName, Mistake, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    latency::{all, share_mistakes},
    on_links::proxies,
};
use crate::mechanism::toxiproxy::{KafkaRule, ProxyControl};

/// Single requests to the broker go wrong on a link: the answer is lost, late or an error, or the request never arrives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaAnswers {
    /// The link, `client -> broker`.
    pub link: LinkName,
    /// Which requests are meant, as Kafka's documentation names them.
    pub api: KafkaApi,
    /// Only requests that name this topic, without the drill's prefix; all when it is left out.
    #[serde(default)]
    pub topic: Option<String>,
    /// What goes wrong.
    pub action: KafkaAction,
    /// Milliseconds that `delay` waits.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub delay_ms: Option<u64>,
    /// The error that `error` answers with.
    #[serde(default)]
    pub error: Option<KafkaErrorName>,
    /// With `error`: whether the broker does what it was asked before the error is answered.
    #[serde(default)]
    pub applied: bool,
    /// How often it goes wrong on each link between two instances; no end when it is left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub times: Option<u64>,
    /// Share of the requests that go wrong, from 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
}

/// A request of Kafka's protocol that can be hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KafkaApi {
    /// A producer writes records.
    Produce,
    /// A consumer reads records.
    Fetch,
    /// Where partitions begin and end.
    ListOffsets,
    /// Which topics there are, and where.
    Metadata,
    /// A group notes how far it has read.
    OffsetCommit,
    /// A group asks how far it has read.
    OffsetFetch,
    /// Who coordinates a group.
    FindCoordinator,
    /// A member joins its group.
    JoinGroup,
    /// A member learns what it is to read.
    SyncGroup,
    /// A member says that it lives.
    Heartbeat,
    /// A member leaves its group.
    LeaveGroup,
    /// A producer asks for the id that makes its writes count once.
    InitProducerId,
}

/// What goes wrong with a request to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KafkaAction {
    /// The broker does what it was asked; its answer is lost and the connection ends.
    Lose,
    /// The broker does what it was asked; its answer is late.
    Delay,
    /// The client is told an error.
    Error,
    /// The broker never hears of it; the connection ends.
    Refuse,
}

/// An error of Kafka's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KafkaErrorName {
    /// The broker does not lead this partition (6).
    NotLeaderOrFollower,
    /// The broker did not manage in time (7).
    RequestTimedOut,
    /// A record is too large (10).
    MessageTooLarge,
    /// The group's coordinator is not ready (15).
    CoordinatorNotAvailable,
    /// The broker does not coordinate this group (16).
    NotCoordinator,
    /// Too few replicas are in sync (19).
    NotEnoughReplicas,
    /// The group was rebalanced without this member (22).
    IllegalGeneration,
    /// The group does not know this member (25).
    UnknownMemberId,
    /// The group is being rebalanced (27).
    RebalanceInProgress,
    /// The client exceeds its quota (89).
    ThrottlingQuotaExceeded,
}

impl KafkaErrorName {
    fn code(self) -> i16 {
        match self {
            Self::NotLeaderOrFollower => 6,
            Self::RequestTimedOut => 7,
            Self::MessageTooLarge => 10,
            Self::CoordinatorNotAvailable => 15,
            Self::NotCoordinator => 16,
            Self::NotEnoughReplicas => 19,
            Self::IllegalGeneration => 22,
            Self::UnknownMemberId => 25,
            Self::RebalanceInProgress => 27,
            Self::ThrottlingQuotaExceeded => 89,
        }
    }
}

impl KafkaAnswers {
    fn action(&self) -> Value {
        match self.action {
            KafkaAction::Lose => json!({ "type": "lose_answer" }),
            KafkaAction::Delay => {
                json!({ "type": "delay", "delay_ms": self.delay_ms.unwrap_or(0) })
            }
            KafkaAction::Error => {
                let code = self.error.map_or(-1, KafkaErrorName::code);
                json!({ "type": "error", "code": code, "applied": self.applied })
            }
            KafkaAction::Refuse => json!({ "type": "refuse_request" }),
        }
    }

    fn rule(&self, scene: &Scene) -> KafkaRule {
        let prefix = scene.pipeline.kafka().map(|access| access.topic_prefix);
        let prefix = prefix.unwrap_or_default();
        KafkaRule {
            name: scene.label(),
            api: json!(self.api).as_str().unwrap_or_default().to_owned(),
            topic: self.topic.as_ref().map(|topic| format!("{prefix}{topic}")),
            share: self.share,
            times: self.times,
            action: self.action(),
        }
    }
}

impl FaultKind for KafkaAnswers {
    const NAME: &'static str = "kafka_answers";
    const EXAMPLE: &'static str =
        r#"When the fault "queue-answers-lost" is injected until it was felt 3 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::QueueAnswers];

    fn target(&self) -> String {
        self.link.to_string()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        let mut named = vec![("link", Named::Link(&self.link))];
        named.extend(
            self.topic
                .iter()
                .map(|topic| ("topic", Named::Topic(topic))),
        );
        named
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = share_mistakes(self.share);
        let delays = self.action == KafkaAction::Delay;
        if delays != self.delay_ms.is_some() {
            mistakes.push(Mistake::new(
                if delays { "action" } else { "delay_ms" },
                "`delay_ms` belongs to the action `delay`",
                if delays {
                    "add `delay_ms = ...`"
                } else {
                    "leave it out"
                },
            ));
        }
        let fails = self.action == KafkaAction::Error;
        if fails != self.error.is_some() {
            mistakes.push(Mistake::new(
                if fails { "action" } else { "error" },
                "`error` belongs to the action `error`",
                if fails {
                    "add `error = \"...\"`"
                } else {
                    "leave it out"
                },
            ));
        }
        mistakes
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let rule = self.rule(&scene);
        let mut rules = Rules {
            name: rule.name.clone(),
            placed: proxies(scene.pipeline.as_ref(), &self.link)?,
        };
        for proxy in &rules.placed {
            if let Err(refusal) = proxy.add_kafka_rule(&rule).await {
                let mut failures = vec![Cause::from(refusal)];
                failures.extend(rules.take_back().await.err());
                Cause::of_all(failures)?;
                break;
            }
        }
        Ok(Box::new(rules))
    }
}

struct Rules {
    name: String,
    placed: Vec<ProxyControl>,
}

impl Rules {
    /// Removes the rule everywhere; one that is gone already is no error.
    async fn take_back(&mut self) -> Result<Vec<String>, Cause> {
        let mut restored = Vec::new();
        let mut failures = Vec::new();
        for proxy in &self.placed {
            match proxy.remove_kafka_rule(&self.name).await {
                Ok(()) => restored.push(format!("{} passes requests as before", proxy.name())),
                Err(failure) => failures.push(Cause::from(failure)),
            }
        }
        Cause::of_all(failures)?;
        Ok(restored)
    }
}

impl InForce for Rules {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async {
            let mut sum = 0;
            for proxy in &self.placed {
                sum += proxy.kafka_rule_acted(&self.name).await?;
            }
            Ok(sum)
        })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(self.take_back())
    }
}
