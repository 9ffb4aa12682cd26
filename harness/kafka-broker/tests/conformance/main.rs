//! The conformance cases with rdkafka, against the embedded broker or any other.
//!
//! ```text
//! cargo test -p kafka-broker --test conformance                                    starts an embedded broker
//! cargo test -p kafka-broker --test conformance -- --bootstrap 127.0.0.1:9092      drives another one
//! ```
//! `--report FILE` writes one line of JSON for each case, for the table of `ci/kafka-conformance/run`, which runs the same
//! cases with three other clients. Further words choose the cases whose names hold them.

#![allow(
    clippy::print_stdout,
    reason = "a test program reports on standard output"
)]

mod administration;
mod groups;
mod producing;
mod transactions;
mod world;

use kafka_broker::{Broker, BrokerConfig};
use std::collections::VecDeque;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;
use world::World;

/// Longest time of one case.
const LIMIT: Duration = Duration::from_secs(90);
/// Cases that run at the same time.
const WORKERS: usize = 4;

/// A case: an error says what the broker does differently.
type Case = fn(&World) -> anyhow::Result<()>;

const CASES: &[(&str, Case)] = &[
    ("produce-and-consume", producing::produce_and_consume),
    ("keys-headers-and-nulls", producing::keys_headers_and_nulls),
    ("compressed-records", producing::compressed_records),
    ("idempotent-produce", producing::idempotent_produce),
    ("message-too-large", producing::message_too_large),
    ("group-join-and-leave", groups::join_and_leave),
    ("group-rebalance", groups::rebalance),
    ("static-member-returns", groups::static_member_returns),
    ("static-member-fenced", groups::static_member_fenced),
    ("commit-and-lag", groups::commit_and_lag),
    ("transaction-commit", transactions::commit),
    ("transaction-abort", transactions::abort),
    ("transaction-offsets", transactions::offsets),
    ("zombie-fenced", transactions::zombie_fenced),
    (
        "create-and-delete-topics",
        administration::create_and_delete_topics,
    ),
    ("create-partitions", administration::create_partitions),
    (
        "describe-and-alter-configs",
        administration::describe_and_alter_configs,
    ),
    ("delete-records", administration::delete_records),
    ("offsets-for-times", administration::offsets_for_times),
    (
        "list-and-describe-groups",
        administration::list_and_describe_groups,
    ),
    ("describe-cluster", administration::describe_cluster),
];

/// The names of all cases, for every client.
const NAMES: &str = include_str!("../../../../ci/kafka-conformance/cases.txt");

#[derive(Default)]
struct Arguments {
    bootstrap: Option<String>,
    report: Option<String>,
    chosen: Vec<String>,
}

impl Arguments {
    /// Reads the command line; what `cargo test` passes on to every test program is let pass.
    fn read() -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--bootstrap" => arguments.bootstrap = Some(value()?),
                "--report" => arguments.report = Some(value()?),
                "--test-threads" | "--color" | "--format" | "--skip" => drop(value()?),
                flag if flag.starts_with('-') => {}
                _ => arguments.chosen.push(word),
            }
        }
        Ok(arguments)
    }

    fn wants(&self, name: &str) -> bool {
        self.chosen.is_empty() || self.chosen.iter().any(|part| name.contains(part.as_str()))
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(wrong) => {
            println!("{wrong}");
            return ExitCode::from(64);
        }
    };
    let named: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
    let listed: Vec<&str> = NAMES.split_whitespace().collect();
    assert_eq!(
        named, listed,
        "the cases and ci/kafka-conformance/cases.txt"
    );
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let (embedded, bootstrap) = match &arguments.bootstrap {
        Some(address) => (None, address.clone()),
        None => runtime.block_on(async {
            let broker = Broker::new(BrokerConfig::default());
            let listener = broker.listen("clients", None).await.expect("listen");
            (Some(broker), listener.address().to_string())
        }),
    };
    let chosen = CASES.iter().filter(|(name, _)| arguments.wants(name));
    let outcomes = run(chosen.copied().collect(), &bootstrap, runtime.handle());
    drop(embedded);
    let failed = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.is_err())
        .count();
    println!("\n{} cases, {failed} differ", outcomes.len());
    if let Some(file) = &arguments.report {
        write_report(file, &outcomes).expect("the report is written");
    }
    // A case that hangs has a thread that never ends.
    std::process::exit(i32::from(failed > 0));
}

type Outcome = (&'static str, Result<(), String>);

/// Runs cases, some at a time, and returns their outcomes in the order of the list.
fn run(
    cases: VecDeque<(&'static str, Case)>,
    bootstrap: &str,
    runtime: &tokio::runtime::Handle,
) -> Vec<Outcome> {
    let order: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
    let (waiting, outcomes) = (Mutex::new(cases), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = lock(&waiting).pop_front();
                    let Some((name, case)) = next else { return };
                    let world = World::new(bootstrap, name, runtime.clone());
                    let outcome = judge(case, world);
                    match &outcome {
                        Ok(()) => println!("case {name} ... ok"),
                        Err(difference) => println!("case {name} ... differs: {difference}"),
                    }
                    lock(&outcomes).push((name, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(name, _)| order.iter().position(|known| known == name));
    outcomes
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one case in a thread of its own, so that one that hangs is a difference and not the end of the program.
fn judge(case: Case, world: World) -> Result<(), String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&world)));
        let outcome = match caught {
            Ok(outcome) => outcome.map_err(|error| format!("{error:#}")),
            Err(_) => Err("the case panicked: see above".to_owned()),
        };
        // Nobody waits for it any more if it took too long.
        let _ = send.send(outcome);
    });
    receive
        .recv_timeout(LIMIT)
        .unwrap_or_else(|_| Err(format!("no end within {LIMIT:?}")))
}

fn write_report(file: &str, outcomes: &[Outcome]) -> std::io::Result<()> {
    let mut report = std::fs::File::create(file)?;
    for (name, outcome) in outcomes {
        let (result, note) = match outcome {
            Ok(()) => ("ok", ""),
            Err(difference) => ("differs", difference.as_str()),
        };
        let note = note
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', " ");
        writeln!(
            report,
            r#"{{"client": "rdkafka", "case": "{name}", "result": "{result}", "note": "{note}"}}"#
        )?;
    }
    Ok(())
}
