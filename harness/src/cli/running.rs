//! `run`, `prove`, `replay` and the drills behind `cargo test`: select, start the testbed, drill, report, shut down.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    arguments::{ProveArguments, ReplayArguments, RunArguments, Selection},
    exit::{HARNESS, Refusal, of_verdicts},
    folder::{self, GIVEN},
    loading::System,
};
use crate::{
    drill::{Ahead, DrillOrder, DrillResult, Event, EventSink, Run, drill_seed},
    feature::{Feature, Scenario},
    prove::Proof,
    report::{
        console::{Console, closing, closing_line},
        html, junit, matrix,
        verdicts::{self, Verdicts},
    },
    steps::{
        engine::{Drilled, PreparedDrill, run_drills},
        rehearsal,
    },
    terminal::{complain, say},
    testbed::{
        Testbed,
        local::{LocalOptions, LocalTestbed},
    },
};

/// The seed where none is given: runs are repeatable unless somebody asks for something else.
pub(super) const DEFAULT_SEED: u64 = 7;

/// `firedrill run`.
pub(super) fn run(system: &System, arguments: &RunArguments) -> Result<u8, Refusal> {
    system.topology.check_defences(&arguments.without)?;
    let selection = &arguments.selection;
    let quickstart = [system.quickstart()];
    let paths = if selection.paths.is_empty() && selection.tags.is_none() {
        &quickstart[..]
    } else {
        &selection.paths
    };
    let features = select(system, paths, selection.tags.as_deref())?;
    let wishes = as_written(&features, &arguments.without);
    conclude(execute(system, selection, &features, wishes)?)
}

/// Every feature file, as written.
pub(super) fn run_all_features(system: &System) -> Result<u8, Refusal> {
    let selection = Selection::default();
    let features = select(system, &[], None)?;
    let wishes = as_written(&features, &[]);
    conclude(execute(system, &selection, &features, wishes)?)
}

/// `firedrill prove`.
pub(super) fn prove(system: &System, arguments: &ProveArguments) -> Result<u8, Refusal> {
    let selection = &arguments.selection;
    let features = select(system, &selection.paths, selection.tags.as_deref())?;
    let mut wishes = as_written(&features, &[]);
    for feature in &features {
        for scenario in &feature.scenarios {
            wishes.extend(scenario.without.iter().map(|without| Wish {
                feature: feature.clone(),
                scenario: scenario.clone(),
                without: vec![without.defence.clone()],
                must_find: Some(without.finding.clone()),
                seed: None,
            }));
        }
    }
    let executed = execute(system, selection, &features, wishes)?;
    let defences = system.topology.defences.keys().map(String::as_str);
    let proof = Proof::new(executed.results.iter().map(AsRef::as_ref), defences);
    say(matrix::draw(&proof));
    let (proven, unproven) = proof.counts();
    say(closing(proven, unproven, 0));
    Ok(executed.worse_than(proof.exit_code()))
}

/// `firedrill replay`: what the drill was given is read from its run's folder, not from today's files.
pub(super) fn replay(arguments: &ReplayArguments) -> Result<u8, Refusal> {
    let plan = folder::read_plan(&arguments.folder)
        .map_err(|error| Refusal::Usage(format!("{error:#}")))?;
    let given = arguments.folder.join("../..").join(GIVEN);
    let system = System::load_recorded(&given)?;
    let feature_path = given.join(&plan.feature);
    let features = select(
        &system,
        &[format!("{}:{}", feature_path.display(), plan.line)],
        None,
    )?;
    let wishes = features
        .iter()
        .flat_map(|feature| {
            feature.scenarios.iter().map(|scenario| Wish {
                feature: feature.clone(),
                scenario: scenario.clone(),
                without: plan.without.clone(),
                must_find: None,
                seed: Some(plan.seed),
            })
        })
        .collect();
    let selection = Selection {
        times: arguments.times,
        ..Selection::default()
    };
    conclude(execute(&system, &selection, &features, wishes)?)
}

fn select(system: &System, paths: &[String], tags: Option<&str>) -> Result<Vec<Feature>, Refusal> {
    let all = [system.all_features()];
    system.select(if paths.is_empty() { &all } else { paths }, tags)
}

/// A drill somebody wants, before it has a number.
#[derive(Clone)]
struct Wish {
    feature: Feature,
    scenario: Scenario,
    without: Vec<String>,
    must_find: Option<String>,
    /// The seed of a recorded drill; else it follows from the run's.
    seed: Option<u64>,
}

fn as_written(features: &[Feature], without: &[String]) -> Vec<Wish> {
    features
        .iter()
        .flat_map(|feature| {
            feature.scenarios.iter().map(|scenario| Wish {
                feature: feature.clone(),
                scenario: scenario.clone(),
                without: without.to_vec(),
                must_find: None,
                seed: None,
            })
        })
        .collect()
}

/// What came of a run.
struct Executed {
    results: Vec<Arc<DrillResult>>,
    /// What the harness failed at that belongs to no drill.
    failures: Vec<String>,
}

impl Executed {
    /// The exit code, where the drills say `code`: nothing outweighs a failure of the harness.
    fn worse_than(&self, code: u8) -> u8 {
        if self.failures.is_empty() {
            code
        } else {
            HARNESS
        }
    }

    fn exit_code(&self) -> u8 {
        let verdicts = self.results.iter().map(|result| result.judgement.verdict);
        self.worse_than(of_verdicts(verdicts))
    }
}

/// Prints the closing line.
fn conclude(executed: Executed) -> Result<u8, Refusal> {
    say(closing_line(executed.results.iter().map(AsRef::as_ref)));
    Ok(executed.exit_code())
}

/// Carries drills out and writes all reports. Nothing is left running when it returns.
fn execute(
    system: &System,
    selection: &Selection,
    features: &[Feature],
    wishes: Vec<Wish>,
) -> Result<Executed, Refusal> {
    let seed = selection.seed.unwrap_or(DEFAULT_SEED);
    let folder = folder::create(&system.root, seed, selection.out.as_deref())?;
    let paths: Vec<PathBuf> = features
        .iter()
        .map(|feature| feature.path.clone())
        .collect();
    folder::keep_what_was_given(&folder, system, &paths)?;
    keep_own_log(&folder)?;
    let drills = number(system, &folder, seed, wishes, selection.times)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no async runtime")?;
    let console = Arc::new(Console::new());
    let events: EventSink = {
        let console = console.clone();
        Arc::new(move |event| console.show(event))
    };
    let executed = runtime.block_on(drill_all(system, selection, &folder, seed, drills, events))?;
    for failure in &executed.failures {
        complain(format_args!("HARNESS ERROR  {failure}"));
    }
    let borrowed = || executed.results.iter().map(AsRef::as_ref);
    let mut verdicts = Verdicts::new(&folder, "local", seed, executed.exit_code(), borrowed());
    verdicts.harness_errors.clone_from(&executed.failures);
    verdicts
        .write(&folder.join(verdicts::FILE))
        .with_context(|| format!("verdicts.json cannot be written to {}", folder.display()))?;
    junit::write(&folder.join("junit.xml"), borrowed())
        .with_context(|| format!("junit.xml cannot be written to {}", folder.display()))?;
    let shown = html::ShownRun {
        folder: &folder,
        verdicts: &verdicts,
    };
    html::write(&folder.join(html::FILE), &[shown]).context("the report")?;
    Ok(executed)
}

/// What the harness, its proxies and its broker have to say goes to `harness.log`; the terminal is for verdicts.
pub(super) fn keep_own_log(folder: &Path) -> anyhow::Result<()> {
    let path = folder.join("harness.log");
    let file = std::fs::File::create(&path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("FIREDRILL_LOG").unwrap_or_else(|_| {
            tracing_subscriber::EnvFilter::new("info,librdkafka=error,rdkafka=error")
        });
    // A second run in one process keeps writing to the log of the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(file)
        .try_init();
    Ok(())
}

async fn drill_all(
    system: &System,
    selection: &Selection,
    folder: &Path,
    seed: u64,
    drills: Vec<PreparedDrill>,
    events: EventSink,
) -> Result<Executed, Refusal> {
    let cancel = CancellationToken::new();
    let interrupts = tokio::spawn(watch_interrupts(cancel.clone()));
    let options = LocalOptions {
        names_for_customers: true,
        ..options(system)?
    };
    let testbed = Arc::new(LocalTestbed::start(options).await?);
    events(&Event::RunStarted {
        drills: drills.len(),
        seed,
        testbed: testbed.name().to_owned(),
        folder: folder.to_owned(),
    });
    let upcoming = rehearsal::requests(&drills, &cancel);
    let run = Arc::new(Run {
        testbed: testbed.clone(),
        ahead: Ahead::new(testbed.clone(), system.topology.clone(), upcoming),
        began: Instant::now(),
        topology: system.topology.clone(),
        profiles: system.profiles.clone(),
        observations: system.observations.clone(),
        folder: folder.to_owned(),
        seed,
        cancel,
        events,
    });
    let Drilled {
        results,
        mut failures,
    } = run_drills(run.clone(), drills, jobs(selection)).await;
    failures.extend(run.ahead.close().await);
    let shut_down = testbed.shut_down().await;
    interrupts.abort();
    failures.extend(shut_down.err().map(|error| error.to_string()));
    Ok(Executed { results, failures })
}

pub(super) fn options(system: &System) -> Result<LocalOptions, Refusal> {
    let mut options = LocalOptions::new(system.topology.clone())?;
    options.progress = Arc::new(|line| complain(line));
    Ok(options)
}

/// The first Ctrl-C (or SIGTERM) ends every wait: faults heal, everything is cleaned up, what was recorded is written.
/// The second ends the process at once; its children die with it.
pub(super) async fn watch_interrupts(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    for first in [true, false] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if first {
            complain(
                "interrupted: healing, cleaning up and writing what was recorded; once more to leave at once",
            );
            cancel.cancel();
        } else {
            std::process::exit(130);
        }
    }
}

fn jobs(selection: &Selection) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    selection.jobs.map_or(cores, usize::from)
}

fn number(
    system: &System,
    folder: &Path,
    run_seed: u64,
    wishes: Vec<Wish>,
    times: u16,
) -> Result<Vec<PreparedDrill>, Refusal> {
    let mut drills = Vec::new();
    for round in 0..u64::from(times) {
        for wish in &wishes {
            let index = drills.len() + 1;
            let feature = relative(&system.root, &wish.feature.path);
            let seed = wish.seed.unwrap_or_else(|| {
                drill_seed(run_seed.wrapping_add(round), &feature, &wish.scenario.name)
            });
            let order = DrillOrder {
                index,
                folder: folder.join("drills").join(folder::drill_folder_name(
                    index,
                    &wish.scenario.name,
                    &wish.without,
                )),
                feature,
                line: wish.scenario.line,
                scenario: wish.scenario.name.clone(),
                failures: wish.scenario.failures.clone(),
                without: wish.without.clone(),
                must_find: wish.must_find.clone(),
                seed,
            };
            folder::prepare_drill(&order)?;
            let line = wish.scenario.line;
            let only = wish.feature.only(|scenario| scenario.line == line);
            drills.push(PreparedDrill {
                order: Arc::new(order),
                feature: only.gherkin,
            });
        }
    }
    Ok(drills)
}

/// A feature's path as reports name it: relative to the workspace, and the same for a recorded copy.
fn relative(root: &Path, path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let text = whole
        .strip_prefix(&root)
        .unwrap_or(&whole)
        .display()
        .to_string();
    match text.split_once(&format!("/{GIVEN}/")) {
        Some((_, recorded)) => recorded.to_owned(),
        None => text,
    }
}
