//! Judging what was recorded: nothing is started.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use firedrill_oracle::{DrillVerdict, History, judge};

use super::exit::{Refusal, of_verdicts};
use crate::{
    report::console::{closing, describe_judgement},
    terminal::say,
};

/// `check`: judges a run or one of its drills again.
pub(super) fn check(folder: &Path) -> Result<u8, Refusal> {
    let journals = journals(folder)?;
    let mut verdicts = Vec::new();
    for journal in journals {
        let text = std::fs::read_to_string(&journal)
            .with_context(|| format!("{} cannot be read", journal.display()))?;
        let history =
            History::from_journal(&text).with_context(|| journal.display().to_string())?;
        let judgement = judge(&history);
        let title = history.header().map_or_else(
            || journal.display().to_string(),
            |drill| format!("{}:{} {}", drill.feature, drill.line, drill.scenario),
        );
        for line in describe_judgement(&title, &judgement, "") {
            say(line);
        }
        verdicts.push(judgement.verdict);
    }
    let passed = verdicts
        .iter()
        .filter(|verdict| **verdict == DrillVerdict::Passed)
        .count();
    say(closing(passed, verdicts.len() - passed, 0));
    Ok(of_verdicts(verdicts))
}

fn journals(folder: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let own = folder.join("journal.jsonl");
    if own.is_file() {
        return Ok(vec![own]);
    }
    let drills = folder.join("drills");
    let entries = std::fs::read_dir(&drills).map_err(|error| {
        Refusal::Usage(format!(
            "{} holds neither a journal nor drills ({error}): name the folder of a run or a drill",
            folder.display()
        ))
    })?;
    let mut journals: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("journal.jsonl"))
        .filter(|journal| journal.is_file())
        .collect();
    journals.sort();
    if journals.is_empty() {
        return Err(Refusal::Usage(format!(
            "{} holds no journal",
            drills.display()
        )));
    }
    Ok(journals)
}
