//! `process_killed`: processes die without a chance to say goodbye, or are asked to end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Cause, Mistake, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    processes::{Fallen, Work, pause},
    target::Processes,
};
use crate::{mechanism::MechanismError, testbed::Signal};

/// Processes end by a signal: at once, or again and again at random moments; they stay dead until healed, or come back after a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessKilled {
    /// All instances of this component are meant.
    #[serde(default)]
    pub component: Option<String>,
    /// This instance is meant.
    #[serde(default)]
    pub instance: Option<String>,
    /// The signal.
    #[serde(default)]
    pub signal: EndSignal,
    /// Milliseconds until a dead process is started again; it stays dead until the fault heals when this is left out.
    #[serde(default)]
    pub restart_after_ms: Option<u64>,
    /// Kills one process at a time at random moments rather than all at once.
    #[serde(default)]
    pub at_random: Option<AtRandom>,
}

/// The signal that ends a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndSignal {
    /// SIGKILL: no chance to clean up.
    #[default]
    Kill,
    /// SIGTERM: a request to end.
    Terminate,
}

/// Random moments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AtRandom {
    /// Shortest and longest time between two kills, in milliseconds.
    pub between_ms: [u64; 2],
    /// How many kills in all; no end when it is left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub times: Option<u64>,
}

impl EndSignal {
    fn signal(self) -> Signal {
        match self {
            Self::Kill => Signal::Kill,
            Self::Terminate => Signal::Terminate,
        }
    }
}

impl ProcessKilled {
    fn processes(&self) -> Processes<'_> {
        Processes {
            component: self.component.as_deref(),
            instance: self.instance.as_deref(),
        }
    }

    fn restart_after(&self) -> Option<Duration> {
        self.restart_after_ms.map(Duration::from_millis)
    }

    /// Kills all at the same time; if one cannot be killed, the others are revived.
    async fn kill_all(&self, fallen: &Fallen) -> Result<(), Cause> {
        let signal = self.signal.signal();
        let kills = fallen
            .instances
            .iter()
            .map(|instance| fallen.fell(instance, signal));
        let mut failures: Vec<Cause> = futures::future::join_all(kills)
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect();
        if !failures.is_empty() {
            failures.extend(fallen.revive_all().await.err());
        }
        Cause::of_all(failures)
    }
}

impl FaultKind for ProcessKilled {
    const NAME: &'static str = "process_killed";
    const EXAMPLE: &'static str =
        r#"When the fault "payment-killed-at-random" is injected until it was felt 5 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::ProcessesKilled];

    fn target(&self) -> String {
        self.processes().words()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        self.processes().named()
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.processes().mistakes();
        let backwards = self
            .at_random
            .as_ref()
            .is_some_and(|random| random.between_ms[0] > random.between_ms[1]);
        if backwards {
            mistakes.push(Mistake::new(
                "at_random",
                "the shortest time is longer than the longest",
                "write `between_ms = [shortest, longest]`",
            ));
        }
        mistakes
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let instances = self.processes().instances(scene.pipeline.as_ref())?;
        let fallen = Fallen::nobody(Arc::clone(&scene.pipeline), instances);
        let mut work = Work::default();
        match &self.at_random {
            Some(random) => {
                let killer = Killer {
                    fallen: Arc::clone(&fallen),
                    random: random.clone(),
                    dice: ChaCha8Rng::seed_from_u64(scene.seed),
                    signal: self.signal.signal(),
                    restart_after: self.restart_after(),
                    stop: work.stop.clone(),
                    revivals: BTreeMap::new(),
                };
                work.spawn(killer.run());
            }
            None => {
                self.kill_all(&fallen).await?;
                if let Some(after) = self.restart_after() {
                    work.spawn(revive_all_after(
                        Arc::clone(&fallen),
                        after,
                        work.stop.clone(),
                    ));
                }
            }
        }
        Ok(Box::new(Killed {
            fallen,
            work,
            by_sigkill: self.signal == EndSignal::Kill,
        }))
    }
}

async fn revive_all_after(fallen: Arc<Fallen>, after: Duration, stop: CancellationToken) {
    if pause(after, &stop).await
        && let Err(failure) = fallen.revive_all().await
    {
        fallen.note_failure(failure);
    }
}

/// Kills one process after the other at random moments.
struct Killer {
    fallen: Arc<Fallen>,
    random: AtRandom,
    dice: ChaCha8Rng,
    signal: Signal,
    restart_after: Option<Duration>,
    stop: CancellationToken,
    /// Restarts under way: others die meanwhile, and nobody waits until the restarted are ready.
    revivals: BTreeMap<String, JoinHandle<()>>,
}

impl Killer {
    async fn run(mut self) {
        let mut left = self.random.times.unwrap_or(u64::MAX);
        while left > 0 && pause(self.next_moment(), &self.stop).await {
            let Some(victim) = self.next_victim() else {
                break;
            };
            // Whoever dies again must live first; whom the lot hits does not depend on how long that takes.
            self.wait_for_revival(&victim).await;
            if self.stop.is_cancelled() {
                break;
            }
            left -= 1;
            if let Err(failure) = self.kill(&victim).await {
                self.fallen.note_failure(failure);
                break;
            }
        }
        for instance in self.fallen.instances.clone() {
            self.wait_for_revival(&instance).await;
        }
    }

    async fn kill(&mut self, victim: &str) -> Result<(), Cause> {
        self.fallen.fell(victim, self.signal).await?;
        if let Some(after) = self.restart_after {
            let revival = start_after(
                Arc::clone(&self.fallen),
                victim.to_owned(),
                after,
                self.stop.clone(),
            );
            self.revivals
                .insert(victim.to_owned(), tokio::spawn(revival));
        }
        Ok(())
    }

    async fn wait_for_revival(&mut self, instance: &str) {
        if let Some(revival) = self.revivals.remove(instance)
            && let Err(failure) = revival.await
        {
            let failure = MechanismError::failed(format!("starting {instance} again"), failure);
            self.fallen.note_failure(failure.into());
        }
    }

    fn next_moment(&mut self) -> Duration {
        let [shortest, longest] = self.random.between_ms;
        let span = longest.saturating_sub(shortest).saturating_add(1);
        Duration::from_millis(shortest + self.dice.next_u64() % span)
    }

    /// One of those who live or will live again, by lot; none when all are dead for good.
    fn next_victim(&mut self) -> Option<String> {
        let mut lot = match self.restart_after {
            Some(_) => self.fallen.instances.clone(),
            None => self.fallen.alive(),
        };
        if lot.is_empty() {
            return None;
        }
        let drawn = self.dice.next_u64() % lot.len() as u64;
        usize::try_from(drawn)
            .ok()
            .map(|index| lot.swap_remove(index))
    }
}

async fn start_after(
    fallen: Arc<Fallen>,
    instance: String,
    after: Duration,
    stop: CancellationToken,
) {
    if pause(after, &stop).await
        && let Err(failure) = fallen.start(&instance).await
    {
        fallen.note_failure(failure);
    }
}

struct Killed {
    fallen: Arc<Fallen>,
    work: Work,
    by_sigkill: bool,
}

impl InForce for Killed {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async { Ok(self.fallen.ends(self.by_sigkill)) })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(async {
            self.work.finish().await?;
            // What failed in the background is over if everybody lives now.
            let failures = self.fallen.take_failures();
            self.fallen
                .make_whole()
                .await
                .map_err(|failure| Cause::Several(failures.into_iter().chain([failure]).collect()))
        })
    }
}
