//! Everything that the template shows, in words.

use std::path::{Component, Path, PathBuf};

use askama::Template;
use firedrill_oracle::DrillVerdict;

use super::{ShownRun, timeline::Timeline};
use crate::{
    catalogue,
    report::verdicts::{DrillEntry, FindingEntry},
};

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
pub(super) struct Page {
    pub(super) headline: String,
    pub(super) mood: &'static str,
    pub(super) about: Vec<String>,
    pub(super) counts: Vec<Count>,
    pub(super) drills: Vec<Drill>,
    pub(super) proofs: Vec<Proof>,
}

/// How many drills came to a verdict.
pub(super) struct Count {
    pub(super) verdict: &'static str,
    pub(super) mood: &'static str,
    pub(super) count: usize,
}

/// One drill.
pub(super) struct Drill {
    pub(super) anchor: String,
    pub(super) verdict: String,
    pub(super) mood: &'static str,
    /// Shown in full without a click.
    pub(super) open: bool,
    pub(super) scenario: String,
    pub(super) place: String,
    pub(super) failures: Vec<Failure>,
    pub(super) without: String,
    pub(super) expected: String,
    pub(super) felt: Vec<String>,
    pub(super) orders: String,
    pub(super) seconds: String,
    pub(super) timing: String,
    pub(super) findings: Vec<FindingEntry>,
    pub(super) reasons: Vec<String>,
    pub(super) checks: Vec<Check>,
    /// SVG that escapes what it quotes; none where nothing is to be drawn.
    pub(super) timeline: Option<String>,
    pub(super) no_timeline: String,
    pub(super) links: Vec<Link>,
    pub(super) replay: String,
}

/// A failure of the catalogue.
pub(super) struct Failure {
    pub(super) id: String,
    pub(super) title: &'static str,
}

/// A promise that was checked.
pub(super) struct Check {
    pub(super) name: String,
    pub(super) mood: &'static str,
    pub(super) words: String,
}

/// A file of the drill.
pub(super) struct Link {
    pub(super) href: String,
    pub(super) name: String,
}

/// A line of the matrix: a scenario with a defence off, and whether it was found out.
pub(super) struct Proof {
    pub(super) failures: String,
    pub(super) scenario: String,
    pub(super) without: String,
    pub(super) must_find: String,
    pub(super) anchor: String,
    pub(super) shown: bool,
}

impl Page {
    pub(super) fn new(beside: &Path, runs: &[ShownRun<'_>]) -> Self {
        let several = runs.len() > 1;
        let mut drills = Vec::new();
        for (run, number) in runs.iter().zip(1_usize..) {
            for (entry, index) in run.verdicts.drills.iter().zip(1_usize..) {
                let anchor = if several {
                    format!("run-{number}-drill-{index}")
                } else {
                    format!("drill-{index}")
                };
                drills.push((drill(beside, run.folder, anchor, entry), entry));
            }
        }
        let proofs = drills
            .iter()
            .filter_map(|(drill, entry)| proof(drill, entry))
            .collect();
        let drills: Vec<Drill> = drills.into_iter().map(|(drill, _)| drill).collect();
        let counts = counts(&drills);
        let as_expected = drills
            .iter()
            .filter(|drill| matches!(drill.mood, "good" | "proven"))
            .count();
        let skipped = drills
            .iter()
            .filter(|drill| drill.mood == "skipped")
            .count();
        Self {
            mood: if as_expected + skipped == drills.len() && as_expected > 0 {
                "good"
            } else {
                "bad"
            },
            headline: headline(drills.len(), as_expected, skipped),
            about: runs.iter().map(about).collect(),
            counts,
            drills,
            proofs,
        }
    }
}

fn headline(all: usize, as_expected: usize, skipped: usize) -> String {
    let noun = if all == 1 { "drill" } else { "drills" };
    let skips = match skipped {
        0 => String::new(),
        number => format!(", {number} skipped"),
    };
    if as_expected + skipped == all {
        format!("{as_expected} of {all} {noun} as it must be{skips}")
    } else {
        let doubtful = all - as_expected - skipped;
        let verb = if doubtful == 1 { "needs" } else { "need" };
        format!("{doubtful} of {all} {noun} {verb} a look{skips}")
    }
}

fn about(run: &ShownRun<'_>) -> String {
    let verdicts = run.verdicts;
    let seconds: f64 = verdicts.drills.iter().map(total).sum();
    format!(
        "testbed {}, seed {}, exit code {}, {:.1} s of drills, in {}",
        verdicts.testbed,
        verdicts.seed,
        verdicts.exit_code,
        seconds,
        run.folder.display()
    )
}

fn counts(drills: &[Drill]) -> Vec<Count> {
    DrillVerdict::ALL
        .into_iter()
        .rev()
        .map(|verdict| Count {
            verdict: verdict.name(),
            mood: mood(verdict.name()),
            count: drills
                .iter()
                .filter(|drill| drill.verdict == verdict.name())
                .count(),
        })
        .filter(|count| count.count > 0)
        .collect()
}

fn mood(verdict: &str) -> &'static str {
    match verdict {
        "PASSED" => "good",
        "SKIPPED" => "skipped",
        "UNDETERMINED" | "HARNESS ERROR" => "unclear",
        _ => "bad",
    }
}

/// Whether a drill that had to find something found it.
fn found_it(entry: &DrillEntry) -> Option<bool> {
    entry.must_find.as_ref().map(|must_find| {
        entry
            .findings
            .iter()
            .any(|finding| finding.invariant == *must_find)
    })
}

fn proof(drill: &Drill, entry: &DrillEntry) -> Option<Proof> {
    let shown = found_it(entry)?;
    Some(Proof {
        failures: entry.failures.join(", "),
        scenario: entry.scenario.clone(),
        without: entry.without.join(", "),
        must_find: entry.must_find.clone().unwrap_or_default(),
        anchor: drill.anchor.clone(),
        shown,
    })
}

fn drill(beside: &Path, run: &Path, anchor: String, entry: &DrillEntry) -> Drill {
    let folder = run.join(&entry.folder);
    let (timeline, no_timeline) = match Timeline::read(&folder.join("journal.jsonl")) {
        Ok(timeline) => (timeline.svg(), "no customer came".to_owned()),
        Err(reason) => (None, format!("the journal cannot be read: {reason}")),
    };
    let found = found_it(entry);
    let mood = match found {
        Some(true) => "proven",
        Some(false) => "bad",
        None => mood(&entry.verdict),
    };
    let orders = &entry.orders;
    let expected = match (found, &entry.must_find) {
        (Some(true), Some(name)) => format!("as it must be: {name} had to appear, and did"),
        (_, Some(name)) => format!("{name} had to appear, and did not"),
        _ => String::new(),
    };
    Drill {
        anchor,
        verdict: entry.verdict.clone(),
        mood,
        open: !matches!(mood, "good" | "proven"),
        scenario: entry.scenario.clone(),
        place: format!("{}:{}", entry.feature, entry.line),
        failures: entry.failures.iter().map(|id| failure(id)).collect(),
        without: entry.without.join(", "),
        expected,
        felt: entry
            .felt
            .iter()
            .map(|felt| {
                format!(
                    "{}: {} {} (at least {})",
                    felt.fault, felt.count, felt.witness, felt.at_least
                )
            })
            .collect(),
        orders: format!(
            "{} of {} accepted, {} paid, {} refunded",
            orders.accepted, orders.attempted, orders.paid, orders.refunded
        ),
        seconds: format!("{:.1}", total(entry)),
        timing: timing(entry),
        findings: entry.findings.clone(),
        reasons: entry.reasons.clone(),
        checks: checks(entry),
        timeline,
        no_timeline,
        links: links(beside, &folder),
        replay: entry.replay.clone(),
    }
}

fn failure(id: &str) -> Failure {
    Failure {
        id: id.to_owned(),
        title: catalogue::failure(id).map_or("", |failure| failure.title),
    }
}

fn total(entry: &DrillEntry) -> f64 {
    let seconds = &entry.seconds;
    seconds.prepare
        + seconds.load
        + seconds.settle
        + seconds.observe
        + seconds.judge
        + seconds.clean_up
}

fn timing(entry: &DrillEntry) -> String {
    let seconds = &entry.seconds;
    format!(
        "prepare {:.2} s, customers and faults {:.2} s, until at rest {:.2} s, reading {:.2} s, judging {:.2} s, cleaning up {:.2} s",
        seconds.prepare,
        seconds.load,
        seconds.settle,
        seconds.observe,
        seconds.judge,
        seconds.clean_up
    )
}

fn checks(entry: &DrillEntry) -> Vec<Check> {
    entry
        .checks
        .iter()
        .map(|check| {
            let (mood, words) = match check.result.as_str() {
                "holds" => ("good", "kept"),
                "violated" => ("bad", "broken"),
                _ => ("unclear", "cannot be said"),
            };
            Check {
                name: check.name.clone(),
                mood,
                words: format!("{words}, {} looked at", check.checked),
            }
        })
        .collect()
}

/// The drill's files, as links from the page's folder; the journal first.
fn links(beside: &Path, folder: &Path) -> Vec<Link> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_by_key(|name| (name != "journal.jsonl", name.clone()));
    let way = way_between(beside, folder);
    names
        .into_iter()
        .map(|name| Link {
            href: format!("{way}/{name}"),
            name,
        })
        .collect()
}

/// The relative way from one folder to another, both as they are written; absolute where they share nothing.
fn way_between(from: &Path, to: &Path) -> String {
    let (from_parts, to_parts): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to.components().collect());
    let shared = from_parts
        .iter()
        .zip(&to_parts)
        .take_while(|(one, other)| one == other)
        .count();
    if shared == 0 {
        return to.display().to_string();
    }
    let up = std::iter::repeat_n(Component::ParentDir, from_parts.len() - shared);
    let way: PathBuf = up.chain(to_parts[shared..].iter().copied()).collect();
    if way.as_os_str().is_empty() {
        ".".to_owned()
    } else {
        way.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_lead_down_across_and_nowhere() {
        let way = |from: &str, to: &str| way_between(Path::new(from), Path::new(to));
        assert_eq!(way("/a/run", "/a/run/drills/0001-x"), "drills/0001-x");
        assert_eq!(way("/a/merged", "/a/run/drills"), "../run/drills");
        assert_eq!(way("/a", "/a"), ".");
    }

    #[test]
    fn a_headline_counts_what_needs_a_look() {
        assert_eq!(headline(1, 1, 0), "1 of 1 drill as it must be");
        assert_eq!(headline(5, 3, 1), "1 of 5 drills needs a look, 1 skipped");
    }
}
