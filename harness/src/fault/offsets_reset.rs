//! `offsets_reset`: a consumer group reads again what it has read before.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior};

use super::{
    Cause, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    messages_duplicated::access,
    processes::Fallen,
};
use crate::{
    mechanism::{
        MechanismError,
        kafka::{Kafka, Offsets},
    },
    testbed::Signal,
};

/// Members that ended have left their group within this time: the longest session timeout in use.
const EMPTY_WITHIN: Duration = Duration::from_secs(60);
/// How often the group is looked at until it is empty.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A consumer group's offsets are set back: its processes end, the offsets are reset, the processes start again and read on from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OffsetsReset {
    /// The consumer group, without the drill's prefix.
    pub group: String,
    /// The topic, without the drill's prefix.
    pub topic: String,
    /// The component whose instances are the members of the group.
    pub component: String,
    /// Where the group reads on.
    #[serde(default)]
    pub to: ResetTo,
}

/// Where a group reads on after its offsets were reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResetTo {
    /// At the first message: everything is read again.
    #[default]
    Earliest,
    /// Behind the last message: what was not read yet is skipped.
    Latest,
}

impl OffsetsReset {
    /// The group's positions before and after the reset; its processes are dead meanwhile.
    async fn reset(&self, kafka: &Kafka) -> Result<Reread, Cause> {
        wait_until_empty(kafka, &self.group).await?;
        let before = kafka.committed(&self.group, &self.topic).await?;
        let to: Offsets = match self.to {
            ResetTo::Earliest => before.keys().map(|partition| (*partition, 0)).collect(),
            ResetTo::Latest => kafka.ends(&self.topic).await?,
        };
        kafka
            .set_committed(&self.group, &self.topic, to.clone())
            .await?;
        Ok(Reread {
            kafka: kafka.clone(),
            fault: self.clone(),
            before,
            to,
        })
    }
}

impl FaultKind for OffsetsReset {
    const NAME: &'static str = "offsets_reset";
    const EXAMPLE: &'static str = r#"When the fault "inventory-reads-everything-again" is injected until it was felt 20 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::ReadAgain];

    fn target(&self) -> String {
        format!("{} on {}", self.group, self.topic)
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![
            ("component", Named::Component(&self.component)),
            ("topic", Named::Topic(&self.topic)),
        ]
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let kafka = Kafka::through(access(scene.pipeline.as_ref())?);
        // Asked before anything is hurt, so that a misspelt topic hurts nothing.
        kafka.committed(&self.group, &self.topic).await?;
        let instances = scene.pipeline.instances(&self.component);
        if instances.is_empty() {
            return Err(Cause::NoTarget {
                target: format!("process of {}", self.component),
                remedy: "name the component whose instances are the group".to_owned(),
            });
        }
        let fallen = Fallen::nobody(Arc::clone(&scene.pipeline), instances);
        let mut failures = Vec::new();
        for instance in &fallen.instances {
            failures.extend(fallen.fell(instance, Signal::Terminate).await.err());
        }
        let reset = if failures.is_empty() {
            self.reset(&kafka).await
        } else {
            Err(Cause::Several(failures))
        };
        // Whatever happened, the processes shall live again.
        match (reset, fallen.revive_all().await) {
            (Ok(reread), Ok(_)) => Ok(Box::new(reread)),
            (Err(failure), Ok(_)) | (Ok(_), Err(failure)) => Err(failure),
            (Err(first), Err(second)) => Err(Cause::Several(vec![first, second])),
        }
    }
}

async fn wait_until_empty(kafka: &Kafka, group: &str) -> Result<(), Cause> {
    let deadline = Instant::now() + EMPTY_WITHIN;
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if kafka.group_is_empty(group).await? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Cause::from(MechanismError::failed(
                format!("resetting the offsets of the group {group}"),
                format!(
                    "it still has members {} s after its processes ended",
                    EMPTY_WITHIN.as_secs()
                ),
            )));
        }
    }
}

/// A group that was set back.
struct Reread {
    kafka: Kafka,
    fault: OffsetsReset,
    before: Offsets,
    to: Offsets,
}

impl InForce for Reread {
    /// What the group has committed again of what it had committed before.
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async {
            let now = self
                .kafka
                .committed(&self.fault.group, &self.fault.topic)
                .await?;
            let again = now.iter().map(|(partition, position)| {
                let before = self.before.get(partition).copied().unwrap_or(-1);
                let to = self.to.get(partition).copied().unwrap_or(0);
                match self.fault.to {
                    ResetTo::Earliest => (*position).min(before) - to,
                    // Skipped rather than read: what lies between the old position and the new.
                    ResetTo::Latest => to - before.max(0),
                }
            });
            Ok(again.map(|count| u64::try_from(count).unwrap_or(0)).sum())
        })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        // The processes run again since the fault came into force, and what was read again stays read.
        Box::pin(async { Ok(vec![format!("{} reads on by itself", self.fault.group)]) })
    }
}
