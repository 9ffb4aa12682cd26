//! `report`: builds the page again, or one page for the runs of several shards. Nothing is started.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use firedrill_oracle::DrillVerdict;

use super::{
    arguments::ReportArguments,
    exit::{Refusal, of_verdicts},
};
use crate::{
    report::{
        console::closing,
        html,
        verdicts::{DrillEntry, Verdicts},
    },
    terminal::say,
};

pub(super) fn report(arguments: &ReportArguments) -> Result<u8, Refusal> {
    let runs = arguments
        .runs
        .iter()
        .map(|folder| read(folder))
        .collect::<Result<Vec<_>, _>>()?;
    let shown: Vec<html::ShownRun<'_>> = runs
        .iter()
        .map(|(folder, verdicts)| html::ShownRun { folder, verdicts })
        .collect();
    let page = match (&arguments.out, runs.as_slice()) {
        (Some(out), _) => std::path::absolute(out).context("the path of the page")?,
        (None, [(folder, _)]) => folder.join(html::FILE),
        (None, _) => {
            return Err(Refusal::Usage(
                "several runs make one page: say where with --out FILE".to_owned(),
            ));
        }
    };
    html::write(&page, &shown).context("the report")?;
    say(page.display());
    let entries = || runs.iter().flat_map(|(_, verdicts)| &verdicts.drills);
    let verdicts = entries()
        .map(|entry| known_verdict(entry).map_err(Refusal::Failed))
        .collect::<Result<Vec<_>, _>>()?;
    let count = |wanted| {
        verdicts
            .iter()
            .filter(|verdict| **verdict == wanted)
            .count()
    };
    let (passed, skipped) = (count(DrillVerdict::Passed), count(DrillVerdict::Skipped));
    say(closing(passed, verdicts.len() - passed - skipped, skipped));
    Ok(of_verdicts(verdicts))
}

fn read(folder: &Path) -> Result<(PathBuf, Verdicts), Refusal> {
    let verdicts = Verdicts::read(folder).map_err(|error| Refusal::Usage(error.to_string()))?;
    let folder = folder
        .canonicalize()
        .with_context(|| format!("{} cannot be found", folder.display()))?;
    Ok((folder, verdicts))
}

fn known_verdict(entry: &DrillEntry) -> anyhow::Result<DrillVerdict> {
    DrillVerdict::ALL
        .into_iter()
        .find(|verdict| verdict.name() == entry.verdict)
        .with_context(|| format!("{:?} is no verdict", entry.verdict))
}
