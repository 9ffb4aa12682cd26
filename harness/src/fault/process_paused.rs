//! `process_paused`: processes freeze, and do not know it when they thaw.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{
    Cause, Mistake, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    processes::{READY_WITHIN, Work, pause},
    target::Processes,
};
use crate::{
    mechanism::signals::Probe,
    testbed::{Pipeline, Signal},
};

/// A process that answers nothing for this long does not answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(250);
/// Pause between two probes of a process.
const PROBE_EVERY: Duration = Duration::from_millis(50);

/// Processes freeze (SIGSTOP) with their connections open, until the fault heals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessPaused {
    /// All instances of this component are meant.
    #[serde(default)]
    pub component: Option<String>,
    /// This instance is meant.
    #[serde(default)]
    pub instance: Option<String>,
}

impl ProcessPaused {
    fn processes(&self) -> Processes<'_> {
        Processes {
            component: self.component.as_deref(),
            instance: self.instance.as_deref(),
        }
    }
}

impl FaultKind for ProcessPaused {
    const NAME: &'static str = "process_paused";
    const EXAMPLE: &'static str = r#"When the fault "payment-frozen" is injected for 3 seconds"#;
    const WITNESSES: &'static [Witness] = &[Witness::ProbesUnanswered];

    fn target(&self) -> String {
        self.processes().words()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        self.processes().named()
    }

    fn mistakes(&self) -> Vec<Mistake> {
        self.processes().mistakes()
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let instances = self.processes().instances(scene.pipeline.as_ref())?;
        let mut probes = Vec::new();
        for instance in &instances {
            let address = scene.pipeline.address(instance, "http");
            let address = address.ok_or_else(|| Cause::Unsupported {
                what: format!("probe {instance}, which has no port `http`"),
            })?;
            probes.push(Probe::at(address));
        }
        let mut paused = Paused {
            pipeline: scene.pipeline,
            frozen: Vec::new(),
            unanswered: Arc::default(),
            work: Work::default(),
        };
        for instance in instances {
            let frozen = paused.pipeline.signal(&instance, Signal::Stop).await;
            paused.frozen.push(instance);
            if let Err(refusal) = frozen {
                let mut failures = vec![Cause::from(refusal)];
                failures.extend(paused.thaw().await.err());
                Cause::of_all(failures)?;
            }
        }
        for probe in probes {
            let unanswered = Arc::clone(&paused.unanswered);
            let stop = paused.work.stop.clone();
            paused.work.spawn(count_unanswered(probe, unanswered, stop));
        }
        Ok(Box::new(paused))
    }
}

async fn count_unanswered(probe: Probe, unanswered: Arc<AtomicU64>, stop: CancellationToken) {
    while pause(PROBE_EVERY, &stop).await {
        if !probe.answers(ANSWER_WITHIN).await {
            unanswered.fetch_add(1, Ordering::AcqRel);
        }
    }
}

struct Paused {
    pipeline: Arc<dyn Pipeline>,
    frozen: Vec<String>,
    unanswered: Arc<AtomicU64>,
    work: Work,
}

impl Paused {
    async fn thaw(&mut self) -> Result<Vec<String>, Cause> {
        let mut restored = Vec::new();
        let mut failures = Vec::new();
        let mut left = Vec::new();
        // All thaw before the first is waited for.
        let mut thawed = Vec::new();
        for instance in std::mem::take(&mut self.frozen) {
            match self.pipeline.signal(&instance, Signal::Continue).await {
                Ok(()) => thawed.push(instance),
                Err(failure) => {
                    failures.push(Cause::from(failure));
                    left.push(instance);
                }
            }
        }
        for instance in thawed {
            match self.pipeline.ready(&instance, READY_WITHIN).await {
                Ok(()) => restored.push(format!("{instance} runs on and is ready")),
                Err(failure) => failures.push(Cause::from(failure)),
            }
        }
        self.frozen = left;
        Cause::of_all(failures)?;
        Ok(restored)
    }
}

impl InForce for Paused {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async { Ok(self.unanswered.load(Ordering::Acquire)) })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(async {
            self.work.finish().await?;
            self.thaw().await
        })
    }
}
