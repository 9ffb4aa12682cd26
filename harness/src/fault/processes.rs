//! What the faults of processes share: who has fallen, who was revived, and work in the background that ends cleanly.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Cause;
use crate::{
    mechanism::signals,
    testbed::{Pipeline, Signal},
};

/// A revived instance is ready within this time, or healing has failed.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(30);
/// A process that has stopped answering is reported as ended within this time, if it has.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);
/// Number of SIGKILL.
const SIGKILL: i32 = 9;

/// The instances of a fault: how often each has ended, and which are dead now.
pub(crate) struct Fallen {
    pub(crate) pipeline: Arc<dyn Pipeline>,
    pub(crate) instances: Vec<String>,
    exits_before: BTreeMap<String, usize>,
    /// Ends that were noticed, those before the fault included.
    noticed: Mutex<BTreeMap<String, usize>>,
    down: Mutex<BTreeSet<String>>,
    failures: Mutex<Vec<Cause>>,
}

impl Fallen {
    /// Nobody has fallen yet.
    pub(crate) fn nobody(pipeline: Arc<dyn Pipeline>, instances: Vec<String>) -> Arc<Self> {
        let exits_before: BTreeMap<String, usize> = instances
            .iter()
            .map(|instance| (instance.clone(), pipeline.exits(instance).len()))
            .collect();
        Arc::new(Self {
            pipeline,
            instances,
            noticed: Mutex::new(exits_before.clone()),
            exits_before,
            down: Mutex::default(),
            failures: Mutex::default(),
        })
    }

    /// How often an instance had ended before the fault.
    pub(crate) fn exits_before(&self, instance: &str) -> usize {
        self.exits_before.get(instance).copied().unwrap_or(0)
    }

    /// Ends of processes since, as the operating system reported them; `killed` counts those by SIGKILL only.
    pub(crate) fn ends(&self, killed: bool) -> u64 {
        self.instances
            .iter()
            .flat_map(|instance| {
                let exits = self.pipeline.exits(instance);
                exits.into_iter().skip(self.exits_before(instance))
            })
            .filter(|exit| !exit.expected && (!killed || exit.signal == Some(SIGKILL)))
            .count() as u64
    }

    /// Those that are not dead.
    pub(crate) fn alive(&self) -> Vec<String> {
        let down = locked(&self.down);
        let alive = self
            .instances
            .iter()
            .filter(|instance| !down.contains(*instance));
        alive.cloned().collect()
    }

    /// Ends an instance with a signal and waits for its end.
    pub(crate) async fn fell(&self, instance: &str, signal: Signal) -> Result<(), Cause> {
        self.mark_down(instance);
        signals::end(&self.pipeline, instance, signal, READY_WITHIN).await?;
        Ok(())
    }

    /// Notes one more end of an instance.
    pub(crate) fn mark_down(&self, instance: &str) {
        if locked(&self.down).insert(instance.to_owned()) {
            *locked(&self.noticed)
                .entry(instance.to_owned())
                .or_default() += 1;
        }
    }

    /// Whether an instance that does not answer has ended without anybody having noticed.
    pub(crate) async fn has_ended_unnoticed(&self, instance: &str) -> bool {
        let noticed = locked(&self.noticed).get(instance).copied().unwrap_or(0);
        let end = self.pipeline.wait_for_exit(instance, noticed);
        tokio::time::timeout(NOTICED_WITHIN, end).await.is_ok()
    }

    /// Starts an instance again without waiting until it is ready.
    pub(crate) async fn start(&self, instance: &str) -> Result<(), Cause> {
        self.pipeline.start_again(instance).await?;
        locked(&self.down).remove(instance);
        Ok(())
    }

    /// Revives the dead, waits for all who have died since the fault began, and says who is ready again.
    pub(crate) async fn make_whole(&self) -> Result<Vec<String>, Cause> {
        let mut restored = self.revive_all().await?;
        for instance in &self.instances {
            let words = ready_words(instance);
            let has_ended = self.pipeline.exits(instance).len() > self.exits_before(instance);
            if has_ended && !restored.contains(&words) {
                self.pipeline.ready(instance, READY_WITHIN).await?;
                restored.push(words);
            }
        }
        Ok(restored)
    }

    /// Starts an instance again and waits until it is ready.
    pub(crate) async fn revive(&self, instance: &str) -> Result<(), Cause> {
        signals::revive(&self.pipeline, instance, READY_WITHIN).await?;
        locked(&self.down).remove(instance);
        Ok(())
    }

    /// Revives everybody who is dead, whatever fails in between, and says who lives again.
    pub(crate) async fn revive_all(&self) -> Result<Vec<String>, Cause> {
        let down: Vec<String> = locked(&self.down).iter().cloned().collect();
        let revivals = down.iter().map(|instance| async move {
            let revived = self.revive(instance).await;
            revived.map(|()| ready_words(instance))
        });
        let mut restored = Vec::new();
        let mut failures = Vec::new();
        for revival in futures::future::join_all(revivals).await {
            match revival {
                Ok(words) => restored.push(words),
                Err(failure) => failures.push(failure),
            }
        }
        Cause::of_all(failures)?;
        Ok(restored)
    }

    /// Keeps a failure of the background work for whoever asks or heals next.
    pub(crate) fn note_failure(&self, failure: Cause) {
        locked(&self.failures).push(failure);
    }

    /// What failed in the background since this was last asked.
    pub(crate) fn take_failures(&self) -> Vec<Cause> {
        std::mem::take(&mut *locked(&self.failures))
    }
}

fn ready_words(instance: &str) -> String {
    format!("{instance} runs and is ready")
}

/// Work in the background. It is asked to stop and waited for, never torn off in the middle of a step.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Work {
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Asks all work to stop and waits for its end.
    pub(crate) async fn finish(&mut self) -> Result<(), Cause> {
        self.stop.cancel();
        let mut failures = Vec::new();
        while let Some(end) = self.tasks.join_next().await {
            if let Err(error) = end {
                failures.push(Cause::Mechanism(crate::mechanism::MechanismError::failed(
                    "hurting in the background",
                    error,
                )));
            }
        }
        Cause::of_all(failures)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stop.cancel();
        // Cancelled tasks end at their next resting place by themselves.
        self.tasks.detach_all();
    }
}

/// Waits, unless it is time to stop; false then.
pub(crate) async fn pause(time: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(time) => true,
    }
}

/// A lock whose holders never panic half-way through a change.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
