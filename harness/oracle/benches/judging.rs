//! How many records are judged in a second, and how much memory it takes. The goal: a million.
//!
//! `cargo bench -p firedrill-oracle` prints the figures; `-- RECORDS` chooses another size.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its figures"
)]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/pipeline/mod.rs"]
mod pipeline;

use std::io::{BufRead, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use firedrill_oracle::{DrillVerdict, History, Record, judge, parse_line};
use pipeline::{Answers, Fate, PRODUCTS, Purchase, journal};

const RECORDS: usize = 1_000_000;
const GOAL_PER_SECOND: f64 = 1_000_000.0;
const ROUNDS: usize = 5;

/// The argument with which the benchmark starts itself again to measure memory in a process that does nothing else.
const ONLY_JUDGE: &str = "only-judge";

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == ONLY_JUDGE) {
        return only_judge();
    }
    let wanted = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(RECORDS);
    let records = journal(&purchases(wanted));
    let count = records.len();
    let text: String = records.iter().map(line).collect();
    println!(
        "a healthy drill of {count} records, {} MB as a journal, best of {ROUNDS}",
        text.len() / 1_000_000
    );

    let taking_in = best(|| {
        let copy = records.clone();
        let start = Instant::now();
        let history = History::from_records(copy);
        let took = start.elapsed();
        assert_eq!(history.records(), count as u64);
        took
    });
    let history = History::from_records(records);
    let judging = best(|| {
        let start = Instant::now();
        let judgement = judge(&history);
        let took = start.elapsed();
        assert_eq!(judgement.verdict, DrillVerdict::Passed);
        took
    });
    drop(history);
    let reading = best(|| {
        let start = Instant::now();
        let history = History::from_journal(&text);
        let took = start.elapsed();
        assert!(history.is_ok_and(|history| history.flaws().is_empty()));
        took
    });

    print("judging alone", count, judging);
    print("taking records in and judging", count, taking_in + judging);
    print("reading lines and judging", count, reading + judging);
    if let Err(error) = print_memory(&text) {
        eprintln!("the memory could not be measured: {error}");
    }
    let per_second = count as f64 / (taking_in + judging).as_secs_f64();
    if per_second < GOAL_PER_SECOND {
        eprintln!("below the goal of {GOAL_PER_SECOND} records a second");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn purchases(records: usize) -> Vec<Purchase> {
    // About 22 records for each purchase.
    (0..records / 22)
        .map(|number| Purchase {
            lines: vec![(number % PRODUCTS, 1), ((number + 1) % PRODUCTS, 2)],
            fate: match number % 20 {
                0 => Fate::OutOfStock,
                1 => Fate::Declined,
                _ => Fate::Fulfilled,
            },
            answers: if number % 10 == 0 {
                Answers::UnknownThenDone
            } else {
                Answers::Done
            },
            published_twice: number % 50 == 0,
            after_poison: false,
        })
        .collect()
}

fn line(record: &Record) -> String {
    serde_json::to_string(record)
        .map(|line| line + "\n")
        .unwrap_or_default()
}

fn best(mut round: impl FnMut() -> Duration) -> Duration {
    (0..ROUNDS).map(|_| round()).min().unwrap_or_default()
}

fn print(what: &str, records: usize, took: Duration) {
    let per_second = records as f64 / took.as_secs_f64();
    println!(
        "{what:<32} {:>6.0} ms  {:>6.2} million records a second",
        took.as_secs_f64() * 1e3,
        per_second / 1e6
    );
}

/// Lets another process read the journal and judge it, and prints what that took.
fn print_memory(text: &str) -> std::io::Result<()> {
    let mut judge = Command::new(std::env::current_exe()?)
        .arg(ONLY_JUDGE)
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut journal) = judge.stdin.take() {
        journal.write_all(text.as_bytes())?;
    }
    judge.wait()?;
    Ok(())
}

fn only_judge() -> ExitCode {
    let before = peak_memory_mb();
    let mut history = History::new();
    for line in std::io::stdin().lock().lines() {
        match line.map(|line| parse_line(&line)) {
            Ok(Ok(record)) => history.push(record),
            _ => return ExitCode::FAILURE,
        }
    }
    let judgement = judge(&history);
    if let (Some(before), Some(after)) = (before, peak_memory_mb()) {
        println!(
            "peak memory of reading and judging {} MB ({})",
            after - before,
            judgement.verdict
        );
    }
    ExitCode::SUCCESS
}

/// The most memory this process ever used, where the system tells.
fn peak_memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes / 1_000)
}
