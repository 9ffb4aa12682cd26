//! A fault in force: owns its healing and knows who can tell that it was felt.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};

use super::{
    Cause, Doing, Fault, FaultError, Felt,
    in_force::{InForce, Scene},
};
use crate::testbed::Pipeline;

/// How often a witness is asked while somebody waits for a fault to be felt.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Puts a fault in force. `seed` decides everything that the fault draws lots for.
///
/// # Errors
/// The testbed lacks what this kind needs, there is nothing to hurt, or a tool failed. Nothing is left in force then, so
/// far as the tools allow it.
pub async fn inject(
    fault: &Fault,
    pipeline: &Arc<dyn Pipeline>,
    seed: u64,
) -> Result<Injection, FaultError> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let scene = Scene {
        pipeline: Arc::clone(pipeline),
        fault: fault.name.clone(),
        number: NUMBER.fetch_add(1, Ordering::Relaxed),
        witness: fault.felt.by,
        seed,
    };
    let in_force = fault
        .kind
        .put_in_force(scene)
        .await
        .map_err(|cause| FaultError {
            fault: fault.name.clone(),
            doing: Doing::Injecting,
            cause,
        })?;
    Ok(Injection {
        fault: fault.clone(),
        in_force: Some(in_force),
        healed: None,
        most_felt: AtomicU64::new(0),
    })
}

/// A fault in force. [`heal`](Self::heal) takes it back.
///
/// Dropped without that, it is still taken back, in the background and as well as possible, so long as the runtime lives;
/// nobody learns whether that worked. Everything that a fault touches belongs to one drill, so that what stays broken then
/// ends with the drill's pipeline.
#[must_use = "a fault that nobody heals is healed in the background, and nobody sees whether that worked"]
pub struct Injection {
    fault: Fault,
    in_force: Option<Box<dyn InForce>>,
    healed: Option<HealReport>,
    most_felt: AtomicU64,
}

/// What the healing of a fault did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealReport {
    /// What was restored, in words: `order-service-1 runs and is ready`.
    pub restored: Vec<String>,
    /// What the witness had counted in the end.
    pub felt: Felt,
    /// How often somebody had believed what the fault showed to deceive them, when the healing began; none where it deceives
    /// nobody.
    pub trusted: Option<u64>,
    /// How long the healing took.
    pub took: Duration,
}

impl Injection {
    /// The fault.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// What it hurts, in the words of the topology.
    #[must_use]
    pub fn target(&self) -> String {
        self.fault.target()
    }

    /// The fault as a value, for the journal.
    #[must_use]
    pub fn parameters(&self) -> Value {
        serde_json::to_value(&self.fault).unwrap_or(Value::Null)
    }

    /// Whether it was taken back.
    #[must_use]
    pub fn is_healed(&self) -> bool {
        self.healed.is_some()
    }

    /// What the witness has counted so far; the final count once the fault is healed.
    ///
    /// # Errors
    /// The witness does not answer.
    pub async fn felt(&self) -> Result<Felt, FaultError> {
        if let (Some(in_force), None) = (&self.in_force, &self.healed) {
            let count = in_force
                .felt()
                .await
                .map_err(|cause| self.failed(Doing::Asking, cause))?;
            self.most_felt.fetch_max(count, Ordering::AcqRel);
        }
        Ok(self.count())
    }

    /// Waits until the fault was felt `times` times, or `within` is over; the count says which.
    ///
    /// # Errors
    /// The witness did not answer at the end of the wait.
    pub async fn wait_until_felt(&self, times: u64, within: Duration) -> Result<Felt, FaultError> {
        let deadline = Instant::now() + within;
        let mut tick = tokio::time::interval(ASK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // A witness may be a process that the fault itself has just killed: it is asked again until time is up.
            match self.felt().await {
                Ok(felt) if felt.count >= times => return Ok(felt),
                answer if Instant::now() >= deadline => return answer,
                _ => {}
            }
        }
    }

    /// Takes the fault back and waits until what it hurt is whole again: processes run and are ready, links pass, scripts
    /// are gone. Healing twice does nothing more; after a failure it may be tried again.
    ///
    /// # Errors
    /// Something could not be restored; the rest was. The system of this drill must not be used for another.
    pub async fn heal(&mut self) -> Result<HealReport, FaultError> {
        if let Some(report) = &self.healed {
            return Ok(report.clone());
        }
        let began = Instant::now();
        // What a witness counts may vanish with the fault; what it says afterwards may be more.
        let before = self.felt().await;
        let trusted = self.trusted().await;
        let restored = match self.in_force.as_mut() {
            Some(in_force) => in_force
                .heal()
                .await
                .map_err(|cause| self.failed(Doing::Healing, cause))?,
            None => Vec::new(),
        };
        let after = self.felt().await;
        if let (Err(error), Err(_)) = (before, after) {
            self.in_force = None;
            return Err(error);
        }
        let report = HealReport {
            restored,
            felt: self.count(),
            trusted: trusted.inspect_err(|_| self.in_force = None)?,
            took: began.elapsed(),
        };
        self.in_force = None;
        self.healed = Some(report.clone());
        Ok(report)
    }

    async fn trusted(&self) -> Result<Option<u64>, FaultError> {
        match &self.in_force {
            Some(in_force) => in_force
                .trusted()
                .await
                .map_err(|cause| self.failed(Doing::Asking, cause)),
            None => Ok(None),
        }
    }

    fn count(&self) -> Felt {
        Felt {
            witness: self.fault.felt.by,
            count: self.most_felt.load(Ordering::Acquire),
            at_least: self.fault.felt.at_least,
        }
    }

    fn failed(&self, doing: Doing, cause: Cause) -> FaultError {
        FaultError {
            fault: self.fault.name.clone(),
            doing,
            cause,
        }
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        let Some(mut in_force) = self.in_force.take() else {
            return;
        };
        let fault = self.fault.name.clone();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::warn!(
                fault,
                "dropped without healing, outside of a runtime: left in force"
            );
            return;
        };
        let healing: BoxFuture<'static, ()> = Box::pin(async move {
            if let Err(error) = in_force.heal().await {
                tracing::warn!(fault, %error, "dropped without healing, and healing it failed");
            }
        });
        runtime.spawn(healing);
    }
}

impl std::fmt::Debug for Injection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Injection")
            .field("fault", &self.fault)
            .field("healed", &self.healed)
            .finish_non_exhaustive()
    }
}
