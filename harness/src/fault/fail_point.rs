//! `fail_point`: something happens exactly between two effects.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
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
    processes::{Fallen, Work, locked, pause},
    target::Processes,
};
use crate::mechanism::{
    MechanismError,
    fail_points::{Action, FailPoints},
};

/// At a named moment between two effects a process is killed, waits, or fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailPoint {
    /// All instances of this component are meant.
    #[serde(default)]
    pub component: Option<String>,
    /// This instance is meant.
    #[serde(default)]
    pub instance: Option<String>,
    /// The moment, `payment.after-charge-before-record`.
    pub point: String,
    /// What happens there.
    pub action: PointAction,
    /// Milliseconds that `delay` waits.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub delay_ms: Option<u64>,
    /// How often it acts: `kill` over all instances, `delay` and `error` on each; no end when it is left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub times: Option<u64>,
    /// Milliseconds until a killed process is started again (and armed again, until it acted `times`); it stays dead until
    /// the fault heals when this is left out.
    #[serde(default)]
    pub restart_after_ms: Option<u64>,
}

/// What happens at a fail-point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PointAction {
    /// The process dies (SIGKILL).
    Kill,
    /// The process waits there.
    Delay,
    /// What was being done there fails.
    Error,
}

impl FailPoint {
    fn processes(&self) -> Processes<'_> {
        Processes {
            component: self.component.as_deref(),
            instance: self.instance.as_deref(),
        }
    }

    fn action(&self) -> Action {
        match self.action {
            PointAction::Kill => Action::Kill,
            PointAction::Delay => Action::Delay {
                delay_ms: self.delay_ms.unwrap_or(0),
            },
            PointAction::Error => Action::Error,
        }
    }

    /// How often one process may act before it is armed again.
    fn times_at_once(&self) -> Option<u64> {
        match self.action {
            PointAction::Kill => Some(1),
            PointAction::Delay | PointAction::Error => self.times,
        }
    }
}

impl FaultKind for FailPoint {
    const NAME: &'static str = "fail_point";
    const EXAMPLE: &'static str =
        r#"When the fault "payment-crash-after-charge" is injected until it was felt 3 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::FailPointActed];

    fn target(&self) -> String {
        format!("{} at {}", self.processes().words(), self.point)
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        let processes = self.processes();
        let mut named = processes.named();
        if let Some(of) = processes.instance.or(processes.component) {
            let point = &self.point;
            named.push(("point", Named::FailPoint { of, point }));
        }
        named
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.processes().mistakes();
        let delays = self.action == PointAction::Delay;
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
        if self.restart_after_ms.is_some() && self.action != PointAction::Kill {
            mistakes.push(Mistake::new(
                "restart_after_ms",
                "only a killed process is started again",
                "leave it out, or write `action = \"kill\"`",
            ));
        }
        mistakes
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let instances = self.processes().instances(scene.pipeline.as_ref())?;
        let points = Arc::new(Points {
            fault: self.clone(),
            fallen: Fallen::nobody(Arc::clone(&scene.pipeline), instances),
            acted: Mutex::default(),
        });
        let mut armed = Armed {
            points,
            work: Work::default(),
        };
        if let Err(refusal) = armed.points.arm_all().await {
            let mut failures = vec![refusal];
            failures.extend(armed.take_back().await.err());
            Cause::of_all(failures)?;
        }
        if self.action == PointAction::Kill {
            for instance in armed.points.fallen.instances.clone() {
                let watch = watch(Arc::clone(&armed.points), instance, armed.work.stop.clone());
                armed.work.spawn(watch);
            }
        }
        Ok(Box::new(armed))
    }
}

/// One fail-point on all instances that are meant.
struct Points {
    fault: FailPoint,
    fallen: Arc<Fallen>,
    /// What each process counted: before the fault, and when it was last asked.
    acted: Mutex<BTreeMap<String, Acted>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Acted {
    before: u64,
    now: u64,
}

impl Points {
    fn of(&self, instance: &str) -> Result<FailPoints, Cause> {
        let address = self.fallen.pipeline.address(instance, "http");
        address.map(FailPoints::at).ok_or_else(|| Cause::NoTarget {
            target: format!("control port `http` of {instance}"),
            remedy: "name a component with fail-points".to_owned(),
        })
    }

    async fn arm_all(&self) -> Result<(), Cause> {
        for instance in &self.fallen.instances {
            if self.fault.action != PointAction::Kill {
                let before = self.count_of(instance).await?.unwrap_or(0);
                let acted = Acted {
                    before,
                    now: before,
                };
                locked(&self.acted).insert(instance.clone(), acted);
            }
            self.arm(instance).await?;
        }
        Ok(())
    }

    async fn arm(&self, instance: &str) -> Result<(), Cause> {
        let points = self.of(instance)?;
        let times = self.fault.times_at_once();
        let armed = points.arm(&self.fault.point, self.fault.action(), times);
        match armed.await {
            // Under load the process may die at the point before it has answered that the point is armed.
            Err(MechanismError::Unreachable { .. })
                if self.fault.action == PointAction::Kill
                    && self.fallen.has_ended_unnoticed(instance).await =>
            {
                Ok(())
            }
            answer => Ok(answer?),
        }
    }

    async fn disarm(&self, instance: &str) -> Result<(), Cause> {
        Ok(self.of(instance)?.disarm(&self.fault.point).await?)
    }

    /// What an instance counts itself; none when it does not run.
    async fn count_of(&self, instance: &str) -> Result<Option<u64>, Cause> {
        match self.of(instance)?.list().await {
            Ok(points) => match points.get(&self.fault.point) {
                Some(point) => Ok(Some(point.acted)),
                None => Err(Cause::Mechanism(MechanismError::unknown(
                    "fail-point",
                    &self.fault.point,
                    instance,
                    points.into_keys().collect(),
                ))),
            },
            Err(MechanismError::Unreachable { .. }) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn count(&self) -> Result<u64, Cause> {
        if self.fault.action == PointAction::Kill {
            return Ok(self.fallen.ends(true));
        }
        for instance in &self.fallen.instances {
            if let Some(now) = self.count_of(instance).await? {
                let mut acted = locked(&self.acted);
                let entry = acted.entry(instance.clone()).or_default();
                entry.now = entry.now.max(now);
            }
        }
        let acted = locked(&self.acted);
        Ok(acted.values().map(|one| one.now - one.before).sum())
    }

    fn acted_enough(&self) -> bool {
        let times = self.fault.times;
        times.is_some_and(|times| self.fallen.ends(true) >= times)
    }
}

/// Follows one instance: when it dies at the point, it is started and armed again until that was enough.
async fn watch(points: Arc<Points>, instance: String, stop: CancellationToken) {
    let mut seen = points.fallen.exits_before(&instance);
    let restart_after = points.fault.restart_after_ms.map(Duration::from_millis);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = points.fallen.pipeline.wait_for_exit(&instance, seen) => {}
        }
        seen += 1;
        points.fallen.mark_down(&instance);
        if points.acted_enough() {
            disarm_others(&points, &instance).await;
        }
        match restart_after {
            Some(after) if pause(after, &stop).await => {}
            _ => return,
        }
        let mut revived = points.fallen.revive(&instance).await;
        if revived.is_ok() && !points.acted_enough() && !stop.is_cancelled() {
            revived = points.arm(&instance).await;
        }
        if let Err(failure) = revived {
            points.fallen.note_failure(failure);
            return;
        }
    }
}

/// Enough processes have died: the others shall live. One that is dead itself needs no disarming.
async fn disarm_others(points: &Points, except: &str) {
    for instance in points.fallen.alive() {
        if instance != except
            && let Err(failure) = points.disarm(&instance).await
        {
            tracing::debug!(instance, %failure, "the fail-point was not disarmed");
        }
    }
}

struct Armed {
    points: Arc<Points>,
    work: Work,
}

impl Armed {
    async fn take_back(&mut self) -> Result<Vec<String>, Cause> {
        self.work.finish().await?;
        let mut failures = Vec::new();
        for instance in self.points.fallen.alive() {
            failures.extend(self.disarm_or_bury(&instance).await.err());
        }
        let before = self.points.fallen.take_failures();
        let restored = match self.points.fallen.revive_all().await {
            Ok(restored) => restored,
            Err(failure) => {
                failures.extend(before);
                failures.push(failure);
                Vec::new()
            }
        };
        Cause::of_all(failures)?;
        let point = &self.points.fault.point;
        Ok([format!("{point} is off")]
            .into_iter()
            .chain(restored)
            .collect())
    }

    /// Disarms an instance. One that died before it could be disarmed died of the fault, and is revived with the others.
    async fn disarm_or_bury(&self, instance: &str) -> Result<(), Cause> {
        match self.points.disarm(instance).await {
            Err(Cause::Mechanism(MechanismError::Unreachable { .. }))
                if self.points.fallen.has_ended_unnoticed(instance).await =>
            {
                self.points.fallen.mark_down(instance);
                Ok(())
            }
            answer => answer,
        }
    }
}

impl InForce for Armed {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(self.points.count())
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(self.take_back())
    }
}
