//! Bringing faults into force, waiting until they are felt, and taking them back.

use std::time::Duration;

use firedrill_oracle::record::Record;
use tokio::time::Instant;

use super::{Drill, DrillError, Injected, in_words};
use crate::{
    drill::event::FeltSoFar,
    fault::{self, Fault},
};

/// How long a fault may take to be felt as often as a step asks for.
const FELT_LIMIT: Duration = Duration::from_secs(20);

/// Time between two looks at a witness.
const FELT_INTERVAL: Duration = Duration::from_millis(20);

impl Drill {
    /// Brings the faults of a profile into force as its timeline says. Those that the timeline does not end stay until
    /// they are healed.
    ///
    /// # Errors
    /// The pipeline could not be started, a fault could not be brought into force or taken back, or the run was
    /// interrupted.
    pub async fn inject(&mut self, name: &str, at_least: Option<u64>) -> Result<(), DrillError> {
        self.ensure_running().await?;
        self.enter("hurt");
        let profiles = self.run.profiles.clone();
        let profile = profiles.get(name).ok_or_else(|| {
            DrillError::Harness(format!(
                "there is no fault profile {name:?} in fault-profiles/"
            ))
        })?;
        let began = Instant::now();
        let mut ends: Vec<(Duration, usize)> = Vec::new();
        for step in profile.timeline() {
            self.end_those_due(began, &mut ends, step.at).await?;
            self.go_on_until(began + step.at).await?;
            let id = self.bring_into_force(&step.fault, at_least).await?;
            if let Some(lasting) = step.lasting {
                ends.push((step.at + lasting, id));
            }
        }
        self.end_those_due(began, &mut ends, Duration::MAX).await
    }

    async fn end_those_due(
        &mut self,
        began: Instant,
        ends: &mut Vec<(Duration, usize)>,
        until: Duration,
    ) -> Result<(), DrillError> {
        ends.sort_unstable();
        let due = ends.partition_point(|(end, _)| *end <= until);
        for (end, id) in ends.drain(..due) {
            self.go_on_until(began + end).await?;
            let failures = self.take_back(id).await;
            if !failures.is_empty() {
                return Err(DrillError::Harness(failures.join("; ")));
            }
        }
        Ok(())
    }

    async fn bring_into_force(
        &mut self,
        fault: &Fault,
        at_least: Option<u64>,
    ) -> Result<usize, DrillError> {
        let injection = fault::inject(fault, &self.running()?.pipeline, self.order.seed)
            .await
            .map_err(|error| match error.is_unsupported() {
                true => DrillError::Unsupported(error.to_string()),
                false => in_words(error),
            })?;
        self.recorder.write(&Record::FaultStarted {
            at_us: self.recorder.now_us(),
            fault: fault.name.clone(),
            target: injection.target(),
            parameters: injection.parameters(),
        });
        self.injections += 1;
        let at_least = at_least.unwrap_or(fault.felt.at_least);
        self.injected.push(Injected {
            id: self.injections,
            name: fault.name.clone(),
            at_least,
            injection,
        });
        Ok(self.injections)
    }

    /// Waits until the last injected fault was felt so often. When it is not within the limit, the drill goes on and
    /// its verdict says so.
    ///
    /// # Errors
    /// No fault is in force, its witness cannot be asked, or the run was interrupted.
    pub async fn wait_until_felt(&mut self, times: u64) -> Result<(), DrillError> {
        let deadline = Instant::now() + FELT_LIMIT;
        loop {
            let Some(injected) = self.injected.last_mut() else {
                return Err(DrillError::Harness("no fault is in force".into()));
            };
            injected.at_least = times;
            let felt = injected.injection.felt().await.map_err(in_words)?;
            if felt.count >= times || Instant::now() >= deadline {
                return Ok(());
            }
            let so_far = [FeltSoFar {
                fault: injected.name.clone(),
                count: felt.count,
                at_least: times,
            }];
            self.tell_progress(&so_far);
            tokio::select! {
                () = tokio::time::sleep(FELT_INTERVAL) => {}
                () = self.run.cancel.cancelled() => return Err(DrillError::Interrupted),
            }
        }
    }

    /// Takes every fault back, the last first, and notes how often each was felt.
    ///
    /// # Errors
    /// A witness cannot be asked, or a healing failed: the drill's verdict is a harness error then.
    pub async fn heal(&mut self) -> Result<(), DrillError> {
        if !self.injected.is_empty() {
            self.enter("heal");
        }
        let mut failures = Vec::new();
        while let Some(id) = self.injected.last().map(|injected| injected.id) {
            failures.extend(self.take_back(id).await);
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(DrillError::Harness(failures.join("; ")))
        }
    }

    /// Heals one fault and notes how often it was felt; says what failed in doing so.
    async fn take_back(&mut self, id: usize) -> Vec<String> {
        let Some(position) = self.injected.iter().position(|injected| injected.id == id) else {
            return Vec::new();
        };
        let mut injected = self.injected.remove(position);
        let mut failures = Vec::new();
        let healed = injected.injection.heal().await;
        if let Ok(Some(count)) = healed.as_ref().map(|report| report.trusted) {
            self.recorder.write(&Record::FaultTrusted {
                at_us: self.recorder.now_us(),
                fault: injected.name.clone(),
                count,
            });
        }
        let healing = healed.err();
        match injected.injection.felt().await {
            Ok(felt) => self.recorder.write(&Record::FaultFelt {
                at_us: self.recorder.now_us(),
                fault: injected.name.clone(),
                witness: felt.witness.to_string(),
                count: felt.count,
                at_least: injected.at_least,
            }),
            Err(error) => failures.push(error.to_string()),
        }
        failures.extend(healing.as_ref().map(ToString::to_string));
        self.recorder.write(&Record::FaultHealed {
            at_us: self.recorder.now_us(),
            fault: injected.name,
            // The record says already that it is about healing this fault.
            error: healing.map(|error| error.cause.to_string()),
        });
        self.rest = None;
        failures
    }

    pub(super) async fn heal_what_is_left(&mut self) {
        if let Err(error) = self.heal().await {
            self.fail(&error);
        }
    }
}
