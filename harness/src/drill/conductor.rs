//! The conductor of one drill. Steps of a scenario call its phases; [`Drill::conclude`] does what is left and judges.

mod hurting;
mod loading;
mod shopping;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use firedrill_oracle::{
    History, Judgement, judge,
    record::{DrillHeader, Expectation, JOURNAL_SCHEMA, Record, Settlement},
};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    event::{DrillResult, Event, FeltSoFar, Seconds},
    memory::MemorySampler,
    recorder::Recorder,
    run::{DrillOrder, Run},
    settling::wait_for_rest,
};
use crate::{
    fault::Injection,
    system::Observer,
    testbed::{Pipeline, PipelineRequest, TestbedError},
    workload::{Assortment, Customers, CustomersReport, Identity, browser::Shopper},
};

/// How long the pipeline may take to come to rest where the scenario does not say.
pub const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// What a scenario wants to find when it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrangement {
    /// Number of products and units of each.
    pub products: Option<(usize, i64)>,
    /// Settings that differ from the topology.
    pub settings: BTreeMap<(String, String), String>,
    /// Replicas that differ from the topology.
    pub replicas: BTreeMap<String, u32>,
    /// Defences that are off in this scenario, beside those that the run switches off.
    pub without: BTreeSet<String>,
}

impl Arrangement {
    /// Everything that is off when the run switches these off.
    fn without_as_well(&self, run: &[String]) -> Vec<String> {
        let own = self.without.iter().filter(|name| !run.contains(name));
        run.iter().chain(own).cloned().collect()
    }

    /// What a drill that is arranged like this asks its testbed for.
    pub fn request(&self, order: &DrillOrder, cancel: &CancellationToken) -> PipelineRequest {
        PipelineRequest {
            drill: order.short_name(),
            directory: order.folder.clone(),
            seed: order.seed,
            without: self.without_as_well(&order.without),
            settings: self.settings.clone(),
            replicas: self.replicas.clone(),
            in_background: false,
            cancel: cancel.clone(),
        }
    }
}

/// A phase could not be carried out. Nothing is said about the system.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The harness or its environment failed.
    #[error("{0}")]
    Harness(String),
    /// The testbed cannot do what the scenario needs: it is skipped, visibly.
    #[error("{0}")]
    Unsupported(String),
    /// The run was interrupted.
    #[error("interrupted")]
    Interrupted,
}

struct Running {
    pipeline: Arc<dyn Pipeline>,
    observer: Arc<Observer>,
    /// Gets the observer ready for its first look.
    preparing: JoinHandle<()>,
    assortment: Assortment,
    memory: MemorySampler,
}

struct Injected {
    id: usize,
    name: String,
    at_least: u64,
    injection: Injection,
}

/// A drill under way.
pub struct Drill {
    order: Arc<DrillOrder>,
    run: Arc<Run>,
    recorder: Arc<Recorder>,
    clock: Instant,
    arrangement: Arrangement,
    running: Option<Running>,
    customers: Vec<Customers>,
    shopper: Option<Shopper>,
    groups_of_customers: u64,
    identity: Option<Arc<Identity>>,
    so_far: CustomersReport,
    injected: Vec<Injected>,
    injections: usize,
    rest: Option<Settlement>,
    failed: bool,
    lacking: Option<String>,
    observed: bool,
    seconds: Seconds,
    phase: &'static str,
}

impl Drill {
    /// A drill with its journal open and nothing started.
    pub fn begin(run: Arc<Run>, order: Arc<DrillOrder>) -> Self {
        let clock = Instant::now();
        let header = DrillHeader {
            schema: JOURNAL_SCHEMA,
            feature: order.feature.clone(),
            line: order.line,
            scenario: order.scenario.clone(),
            failures: order.failures.clone(),
            seed: order.seed,
            testbed: run.testbed.name().to_owned(),
            without: order.without.clone(),
        };
        let recorder = Arc::new(Recorder::create(
            order.folder.join("journal.jsonl"),
            clock,
            header,
        ));
        (run.events)(&Event::DrillStarted {
            order: order.clone(),
        });
        let seconds = Seconds {
            began: (clock - run.began).as_secs_f64(),
            ..Seconds::default()
        };
        let mut drill = Self {
            order,
            run,
            recorder,
            clock,
            arrangement: Arrangement::default(),
            running: None,
            customers: Vec::new(),
            shopper: None,
            groups_of_customers: 0,
            identity: None,
            so_far: CustomersReport::default(),
            injected: Vec::new(),
            injections: 0,
            rest: None,
            failed: false,
            lacking: None,
            observed: false,
            seconds,
            phase: "prepare",
        };
        drill.enter("prepare");
        drill
    }

    /// What the scenario wants to find; may be changed until the pipeline runs.
    ///
    /// # Errors
    /// The pipeline runs already.
    pub fn arrange(&mut self) -> Result<&mut Arrangement, DrillError> {
        if self.running.is_some() {
            return Err(DrillError::Harness(
                "the pipeline runs already: move this step before the first one that needs it"
                    .into(),
            ));
        }
        Ok(&mut self.arrangement)
    }

    /// Starts the pipeline unless it runs.
    ///
    /// # Errors
    /// It could not be started, or its products could not be put in place.
    pub async fn ensure_running(&mut self) -> Result<(), DrillError> {
        if self.running.is_some() {
            return Ok(());
        }
        let began = Instant::now();
        self.enter("start");
        let request = self.arrangement.request(&self.order, &self.run.cancel);
        let pipeline = self
            .run
            .ahead
            .take(self.order.index, request)
            .await
            .map_err(from_testbed)?;
        let observer = match Observer::new(pipeline.clone(), self.run.observations.clone()) {
            Ok(observer) => Arc::new(observer),
            Err(error) => {
                let stopped = pipeline.stop().await;
                return Err(DrillError::Harness(match stopped {
                    Ok(()) => error.to_string(),
                    Err(stop) => format!("{error}; and the pipeline could not be stopped: {stop}"),
                }));
            }
        };
        let (products, units) = self.arrangement.products.unwrap_or((40, 25));
        let assortment = Assortment::new(products, units, self.order.seed);
        let components = self.run.topology.started();
        let instances = components
            .flat_map(|component| pipeline.instances(&component.name))
            .collect();
        let memory = MemorySampler::start(pipeline.clone(), instances, self.recorder.clone());
        let getting_ready = Arc::clone(&observer);
        self.running = Some(Running {
            memory,
            pipeline,
            observer,
            preparing: tokio::spawn(async move { getting_ready.get_ready().await }),
            assortment,
        });
        let running = self.running()?;
        running
            .observer
            .arrange_products(&running.assortment.products)
            .await
            .map_err(in_words)?;
        self.seconds.prepare = began.elapsed().as_secs_f64();
        self.enter("load");
        Ok(())
    }

    /// Has every instance show the stock, so that what they keep of it is as old as this step.
    ///
    /// # Errors
    /// The pipeline could not be started, or an instance does not show it.
    pub async fn show_stock(&mut self) -> Result<(), DrillError> {
        self.ensure_running().await?;
        self.running()?
            .observer
            .show_stock()
            .await
            .map_err(in_words)
    }

    /// Leaves things as they are for a while: customers go on, faults stay in force.
    ///
    /// # Errors
    /// The run was interrupted.
    pub async fn go_on_for(&mut self, duration: Duration) -> Result<(), DrillError> {
        self.go_on_until(Instant::now() + duration).await
    }

    async fn go_on_until(&mut self, end: Instant) -> Result<(), DrillError> {
        while Instant::now() < end {
            tokio::select! {
                () = tokio::time::sleep_until(end.min(Instant::now() + PROGRESS_INTERVAL)) => self.tell_progress(&[]),
                () = self.run.cancel.cancelled() => return Err(DrillError::Interrupted),
            }
        }
        Ok(())
    }

    /// Waits for the pipeline to come to rest, once. Faults are healed and customers leave before.
    ///
    /// # Errors
    /// The system cannot be read, a healing failed, or the run was interrupted.
    pub async fn settle(&mut self, limit: Duration) -> Result<(), DrillError> {
        self.heal().await?;
        self.customers_leave().await;
        self.shopper_leaves().await;
        if self.rest.is_some() {
            return Ok(());
        }
        self.ensure_running().await?;
        let began = Instant::now();
        self.enter("settle");
        // Not earlier: while customers order, a pipeline that starts would take from this one what it needs to keep up.
        self.run.ahead.start_next();
        let rest = wait_for_rest(&self.running()?.observer, limit, &self.run.cancel)
            .await
            .map_err(in_words)?;
        let Some(rest) = rest else {
            return Err(DrillError::Interrupted);
        };
        self.recorder.write(&Record::Settled {
            at_us: self.recorder.now_us(),
            outcome: rest.outcome,
            outstanding: rest.outstanding,
        });
        self.rest = Some(rest.outcome);
        self.seconds.settle += began.elapsed().as_secs_f64();
        Ok(())
    }

    /// Adds a promise of this scenario to those that are always checked.
    pub fn expect(&self, expectation: Expectation) {
        self.recorder.write(&Record::Expectation(expectation));
    }

    /// Notes that the harness failed; what follows is only clean-up.
    pub fn fail(&mut self, error: &DrillError) {
        self.failed = true;
        if let DrillError::Unsupported(reason) = error {
            self.lacking.get_or_insert_with(|| reason.clone());
            return;
        }
        // Whatever the testbed lacks: an error of the harness is not passed over as a skip.
        self.lacking = None;
        self.recorder.write(&Record::HarnessError {
            at_us: self.recorder.now_us(),
            message: error.to_string(),
        });
    }

    /// Whether the harness has failed in this drill.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Heals, sends the customers home, waits for rest and reads what the system holds. What is left to do then is
    /// [`leave`](Self::leave).
    pub async fn conclude(&mut self) {
        if !self.failed
            && let Err(error) = self.settle(SETTLE_LIMIT).await
        {
            self.fail(&error);
        }
        self.heal_what_is_left().await;
        self.customers_leave().await;
        self.shopper_leaves().await;
        let began = self.clock.elapsed().as_secs_f64();
        self.seconds.load = (began - self.seconds.prepare - self.seconds.settle).max(0.0);
        self.observe().await;
    }

    /// Stops and removes everything of this drill and judges it; the next drill need not wait for that. Always ends with a
    /// verdict and with nothing left running.
    pub async fn leave(mut self) -> DrillResult {
        self.clean_up().await;
        self.check()
    }

    async fn observe(&mut self) {
        if self.failed {
            return;
        }
        let began = Instant::now();
        self.enter("observe");
        let Some(running) = &self.running else { return };
        let readings = running.observer.observe().await;
        let at_us = self.recorder.now_us();
        let groups: Vec<Record> = self.run.observations.group_records().collect();
        self.recorder.write_all(&groups);
        for reading in readings {
            let records: Vec<Record> = reading.into_records(at_us).collect();
            self.recorder.write_all(&records);
        }
        self.observed = true;
        self.seconds.observe = began.elapsed().as_secs_f64();
    }

    async fn clean_up(&mut self) {
        let began = Instant::now();
        self.enter("clean_up");
        if let Err(error) = self.run.ahead.release(self.order.index).await {
            self.fail(&from_testbed(error));
        }
        if let Some(running) = self.running.take() {
            running.preparing.abort();
            running.observer.close().await;
            if let Err(error) = running.pipeline.stop().await {
                self.fail(&from_testbed(error));
            }
        }
        self.seconds.clean_up = began.elapsed().as_secs_f64();
    }

    fn check(mut self) -> DrillResult {
        let began = Instant::now();
        self.enter("check");
        if self.observed {
            self.recorder.write(&Record::Closed {
                at_us: self.recorder.now_us(),
                facts: self.recorder.facts(),
            });
        }
        let judgement = match &self.lacking {
            Some(reason) => Judgement::skipped(reason.clone()),
            None => self.judge_journal(),
        };
        self.seconds.judge = began.elapsed().as_secs_f64();
        let result = DrillResult {
            replay: self.order.replay(),
            order: self.order.clone(),
            judgement,
            seconds: self.seconds,
        };
        (self.run.events)(&Event::DrillFinished {
            result: Arc::new(result.clone()),
        });
        result
    }

    /// Judges what stands in the journal, not what is remembered: a recorded run is judged the same way later.
    fn judge_journal(&self) -> Judgement {
        if let Some(failure) = self.recorder.failure() {
            return Judgement::undetermined(failure);
        }
        match std::fs::read_to_string(self.recorder.path()) {
            Ok(text) => match History::from_journal(&text) {
                Ok(history) => judge(&history),
                Err(error) => Judgement::undetermined(error.to_string()),
            },
            Err(error) => Judgement::undetermined(format!(
                "{} could not be read: {error}",
                self.recorder.path().display()
            )),
        }
    }

    fn running(&self) -> Result<&Running, DrillError> {
        self.running
            .as_ref()
            .ok_or_else(|| DrillError::Harness("the pipeline does not run".into()))
    }

    fn enter(&mut self, phase: &'static str) {
        if self.phase != phase || phase == "prepare" {
            self.recorder.write(&Record::Phase {
                at_us: self.recorder.now_us(),
                phase: phase.to_owned(),
            });
            if let Some(running) = &self.running {
                running.memory.sample();
            }
        }
        self.phase = phase;
        self.tell_progress(&[]);
    }

    fn tell_progress(&self, felt: &[FeltSoFar]) {
        let under_way = self.customers.iter().map(Customers::report);
        let under_way = under_way.chain(self.shopper.iter().map(Shopper::report));
        let (attempted, accepted) = under_way.fold(
            (self.so_far.attempted, self.so_far.accepted),
            |sum, report| (sum.0 + report.attempted, sum.1 + report.accepted),
        );
        (self.run.events)(&Event::Progress {
            index: self.order.index,
            phase: self.phase,
            attempted,
            accepted,
            felt: felt.to_vec(),
        });
    }

    /// What is drilled.
    pub fn order(&self) -> Arc<DrillOrder> {
        self.order.clone()
    }

    /// The drill's folder.
    pub fn folder(&self) -> &PathBuf {
        &self.order.folder
    }
}

/// Time between two reports of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

fn in_words(error: impl std::fmt::Display) -> DrillError {
    DrillError::Harness(error.to_string())
}

fn from_testbed(error: TestbedError) -> DrillError {
    match error {
        TestbedError::Interrupted => DrillError::Interrupted,
        lacking @ TestbedError::Unsupported { .. } => DrillError::Unsupported(lacking.to_string()),
        other => in_words(other),
    }
}
