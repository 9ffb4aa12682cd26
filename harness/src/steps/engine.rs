//! cucumber as the engine behind our own `main`: it is fed with exactly the drills of a run and tells nobody anything;
//! reports hear of drills from the drills themselves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cucumber::{
    Cucumber, Event, World as _, cli, event, event::ScenarioFinished, parser, runner, writer,
};
use firedrill_oracle::Judgement;
use futures::{FutureExt as _, stream};
use tokio::{
    sync::{RwLock, Semaphore},
    task::JoinHandle,
};

use super::world::{DrillWorld, Place};
use crate::drill::{Drill, DrillError, DrillOrder, DrillResult, Event as DrillEvent, Run, Seconds};

/// A drill and the scenario it carries out.
#[derive(Debug, Clone)]
pub struct PreparedDrill {
    /// The order.
    pub order: Arc<DrillOrder>,
    /// The feature with this one scenario, examples already filled in.
    pub feature: gherkin::Feature,
}

/// Tag that leads from a scenario back to its drill.
const DRILL_TAG: &str = "firedrill-index-";

/// What came of the drills of a run.
#[derive(Debug)]
pub struct Drilled {
    /// In the order of the drills.
    pub results: Vec<Arc<DrillResult>>,
    /// What the harness failed at that belongs to no drill.
    pub failures: Vec<String>,
}

/// A drill that has read everything and is being cleaned up and judged.
struct Leaving {
    order: Arc<DrillOrder>,
    judged: JoinHandle<DrillResult>,
}

/// The tag of scenarios that measure what a busy machine would spoil.
const ALONE_TAG: &str = "alone";

/// Carries out drills, at most `jobs` at once. A drill is cleaned up and judged while the next is under way, at most `jobs`
/// at once as well.
/// A scenario with the tag `@alone` waits until no other is under way, and lets none begin.
///
/// Must be awaited by `block_on`: cucumber's future does not move between threads.
pub async fn run_drills(run: Arc<Run>, drills: Vec<PreparedDrill>, jobs: usize) -> Drilled {
    let orders: Arc<Vec<Arc<DrillOrder>>> =
        Arc::new(drills.iter().map(|drill| drill.order.clone()).collect());
    let leaving: Arc<Mutex<Vec<Leaving>>> = Arc::default();
    let machine = Arc::new(RwLock::new(()));
    let leave_permits = Arc::new(Semaphore::new(jobs.max(1)));
    let features = drills
        .into_iter()
        .enumerate()
        .map(|(position, drill)| tagged(drill.feature, position))
        .collect();
    let (concluded, started) = (leaving.clone(), run.clone());
    let runner = runner::Basic::default()
        .steps(DrillWorld::collection())
        .max_concurrent_scenarios(jobs);
    Cucumber::<DrillWorld, _, (), _, _, cli::Empty>::custom(Prepared(features), runner, Silent)
        .with_default_cli()
        .before(move |_, _, scenario, world| {
            watch_panics();
            let order = position(scenario).and_then(|position| orders.get(position).cloned());
            let (machine, started) = (machine.clone(), started.clone());
            let is_alone = scenario.tags.iter().any(|tag| tag == ALONE_TAG);
            async move {
                world.place = Some(if is_alone {
                    Place::Alone(machine.write_owned().await)
                } else {
                    Place::Shared(machine.read_owned().await)
                });
                world.drill = order.map(|order| Drill::begin(started, order));
            }
            .boxed_local()
        })
        .after(move |_, _, _, ended, world| {
            let drill = world.and_then(|world| world.drill.take());
            let (leaving, permits) = (concluded.clone(), leave_permits.clone());
            let trouble = trouble(ended);
            async move {
                let Some(mut drill) = drill else { return };
                for message in trouble
                    .into_iter()
                    .chain(std::mem::take(&mut *locked(&PANICS)))
                {
                    drill.fail(&DrillError::Harness(message));
                }
                drill.conclude().await;
                let permit = permits.acquire_owned().await;
                let order = drill.order();
                let judged = tokio::spawn(async move {
                    let result = drill.leave().await;
                    drop(permit);
                    result
                });
                locked(&leaving).push(Leaving { order, judged });
            }
            .boxed_local()
        })
        .run(())
        .await;
    let leaving = std::mem::take(&mut *locked(&leaving));
    let mut results = Vec::with_capacity(leaving.len());
    for Leaving { order, judged } in leaving {
        let result = match judged.await {
            Ok(result) => Arc::new(result),
            Err(error) => unjudged(&run, order, &error.to_string()),
        };
        results.push(result);
    }
    results.sort_by_key(|result| result.order.index);
    Drilled {
        results,
        failures: std::mem::take(&mut *locked(&PANICS)),
    }
}

/// The result of a drill that ended in the middle of its clean-up.
fn unjudged(run: &Run, order: Arc<DrillOrder>, reason: &str) -> Arc<DrillResult> {
    let result = Arc::new(DrillResult {
        judgement: Judgement::harness_error(format!("cleaning up ended early: {reason}")),
        replay: order.replay(),
        order,
        seconds: Seconds::default(),
    });
    (run.events)(&DrillEvent::DrillFinished {
        result: result.clone(),
    });
    result
}

/// Why cucumber did not get through a scenario; the check before the start leaves no step undefined.
fn trouble(ended: &ScenarioFinished) -> Option<String> {
    match ended {
        ScenarioFinished::StepPassed => None,
        ScenarioFinished::StepSkipped => {
            Some("a step of the scenario is not known: run `firedrill lint`".into())
        }
        ScenarioFinished::StepFailed(_, _, error) => Some(format!("a step panicked: {error}")),
        ScenarioFinished::BeforeHookFailed(_) => Some("the drill could not begin".into()),
    }
}

/// Panics of this process since the last drill ended. Each is an error of the harness, whichever task it ended.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Most panics kept until the next drill ends.
const PANICS_KEPT: usize = 20;

/// cucumber silences panics for the time of its run, also those of background tasks: this makes them heard.
fn watch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let mut panics = locked(&PANICS);
        if panics.len() < PANICS_KEPT {
            panics.push(format!("the harness panicked: {panic}"));
        }
    }));
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tagged(mut feature: gherkin::Feature, position: usize) -> gherkin::Feature {
    for scenario in &mut feature.scenarios {
        scenario.tags.push(format!("{DRILL_TAG}{position}"));
    }
    feature
}

fn position(scenario: &gherkin::Scenario) -> Option<usize> {
    scenario
        .tags
        .iter()
        .find_map(|tag| tag.strip_prefix(DRILL_TAG))
        .and_then(|position| position.parse().ok())
}

/// A parser that was handed its features.
struct Prepared(Vec<gherkin::Feature>);

impl cucumber::Parser<()> for Prepared {
    type Cli = cli::Empty;
    type Output = stream::Iter<std::vec::IntoIter<parser::Result<gherkin::Feature>>>;

    fn parse(self, (): (), _: cli::Empty) -> Self::Output {
        let features: Vec<_> = self.0.into_iter().map(Ok).collect();
        stream::iter(features)
    }
}

/// A writer that writes nothing: drills tell the reports themselves.
struct Silent;

impl cucumber::Writer<DrillWorld> for Silent {
    type Cli = cli::Empty;

    async fn handle_event(
        &mut self,
        _: parser::Result<Event<event::Cucumber<DrillWorld>>>,
        _: &Self::Cli,
    ) {
    }
}

impl writer::Normalized for Silent {}
