//! The `firedrill` command.
//!
//! - [`arguments`]: the command line
//! - [`exit`]: exit codes
//! - [`loading`]: everything that was written is read before anything starts
//! - [`folder`]: the folder of a run
//! - [`running`]: `run`, `prove`, `replay` and the drills behind `cargo test`
//! - `recorded`, `reporting`: `check` and `report`, over what was recorded
//! - [`listing`]: the command `list`
//! - [`up`]: the command `up`

pub mod arguments;
pub mod exit;
pub mod folder;
mod listing;
mod loading;
mod recorded;
mod reporting;
mod running;
mod up;

use std::{io::IsTerminal as _, process::ExitCode};

use clap::Parser as _;

use self::{
    arguments::{Arguments, Command, SystemFiles},
    exit::{Refusal, USAGE},
    loading::System,
};
use crate::{
    terminal::{complain, say},
    testbed::local,
};

/// The whole command: reads the command line, does it, says how it ended.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let asked_for = !error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if asked_for { 0 } else { USAGE });
        }
    };
    finish(carry_out(arguments))
}

/// All feature files, as `cargo test` runs them: the closing line is the test runner's.
pub fn test_main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--list") {
        say("drills: test");
        return ExitCode::SUCCESS;
    }
    let files = SystemFiles {
        topology: None,
        observations: None,
        profiles: None,
    };
    finish(System::load(&files).and_then(|system| running::run_all_features(&system)))
}

fn finish(ended: Result<u8, Refusal>) -> ExitCode {
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(refusal) => {
            match &refusal {
                Refusal::Wrong(diagnostics) => {
                    complain(diagnostics.render(std::io::stderr().is_terminal()));
                }
                other => complain(format_args!("firedrill: {other}")),
            }
            ExitCode::from(refusal.exit_code())
        }
    }
}

fn carry_out(arguments: Arguments) -> Result<u8, Refusal> {
    match arguments.command {
        Command::Check { folder } => recorded::check(&folder),
        Command::Clean { all } => clean(all),
        Command::Report(report) => reporting::report(&report),
        Command::Replay(replay) => running::replay(&replay),
        Command::Run(run) => running::run(&System::load(&arguments.system)?, &run),
        Command::Up(arguments_of_up) => up::up(&System::load(&arguments.system)?, &arguments_of_up),
        Command::Prove(prove) => running::prove(&System::load(&arguments.system)?, &prove),
        Command::List { what, json } => listing::list(&arguments.system, what, json),
        Command::Lint { paths } => lint(&System::load(&arguments.system)?, &paths),
    }
}

fn lint(system: &System, paths: &[String]) -> Result<u8, Refusal> {
    let all = [system.all_features()];
    let features = system.select(if paths.is_empty() { &all } else { paths }, None)?;
    say(format_args!(
        "{} scenarios in {} files, {} fault profiles, {} components, {} defences: nothing to complain about",
        features
            .iter()
            .map(|feature| feature.scenarios.len())
            .sum::<usize>(),
        features.len(),
        system.profiles.iter().count(),
        system.topology.components.len(),
        system.topology.defences.len(),
    ));
    Ok(0)
}

fn clean(all: bool) -> Result<u8, Refusal> {
    let report = local::clean(all);
    say(format_args!(
        "removed {} folders, {} processes, {} shared memory segments and {} caches of dead runs; spared {} live runs",
        report.runs.len(),
        report.processes.len(),
        report.shared_memory.len(),
        report.caches.len(),
        report.spared.len(),
    ));
    for failure in &report.failures {
        complain(format_args!("firedrill: {failure}"));
    }
    Ok(if report.failures.is_empty() {
        0
    } else {
        exit::HARNESS
    })
}
