//! Golden histories: for every invariant some that it must accept, some that it must reject, and some of which nothing
//! can be said. The name of a file says what is expected of it:
//!
//! * `golden/<invariant>/accepts-*.jsonl`: every promise is kept (while the pipeline still moves, others may be open).
//! * `golden/<invariant>/rejects-<what>.jsonl`: exactly this invariant is violated; `rejects-<what>+<other>.jsonl`
//!   exactly this one and the other.
//! * `golden/<invariant>/undetermined-*.jsonl`: this invariant is undetermined, and none is violated.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use firedrill_oracle::judgement::CheckResult;
use firedrill_oracle::{DrillVerdict, FactKind, History, Invariant, Judgement, Record, judge};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Invariant, name of the file, its judgement.
fn goldens() -> Vec<(Invariant, String, Judgement)> {
    let mut goldens = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let invariant = Invariant::named(&name).unwrap_or_else(|| panic!("{name} is no invariant"));
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            let text = with_kinds_of_others(invariant, &fs::read_to_string(&path).unwrap());
            let history = History::from_journal(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(history.flaws(), Vec::<String>::new(), "{}", path.display());
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            goldens.push((invariant, name, judge(&history)));
        }
    }
    goldens
}

/// A golden history says nothing of kinds that its own invariant does not need: of these there was nothing to read.
fn with_kinds_of_others(invariant: Invariant, text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let last = lines.len().saturating_sub(1);
    for kind in FactKind::ALL {
        let name = serde_json::to_value(kind).unwrap();
        let is_observed = |line: &String| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["record"] == "observed" && line["kind"] == name
        };
        if !invariant.needs().contains(&kind) && !lines.iter().any(is_observed) {
            let nothing = Record::Observed {
                at_us: 0,
                kind,
                source: "golden".to_owned(),
                rows: 0,
                error: None,
            };
            lines.insert(last, serde_json::to_string(&nothing).unwrap());
        }
    }
    lines.join("\n") + "\n"
}

fn with_result(judgement: &Judgement, result: CheckResult) -> BTreeSet<&str> {
    let checks = judgement
        .checks
        .iter()
        .filter(|check| check.result == result);
    checks.map(|check| check.name.as_str()).collect()
}

#[test]
fn every_golden_history_is_judged_as_its_name_says() {
    for (invariant, name, judgement) in goldens() {
        let place = format!("{}/{name}: {judgement:#?}", invariant.name());
        let violated = with_result(&judgement, CheckResult::Violated);
        let undetermined = with_result(&judgement, CheckResult::Undetermined);
        if name.starts_with("accepts-") {
            assert!(violated.is_empty(), "{place}");
            assert!(!undetermined.contains(invariant.name()), "{place}");
            if judgement.verdict != DrillVerdict::NotRecovered {
                assert_eq!(judgement.verdict, DrillVerdict::Passed, "{place}");
            }
        } else if name.starts_with("rejects-") {
            let mut expected: BTreeSet<_> = name.split('+').skip(1).collect();
            expected.insert(invariant.name());
            assert_eq!(violated, expected, "{place}");
            assert_eq!(judgement.verdict, DrillVerdict::Violated, "{place}");
        } else if name.starts_with("undetermined-") {
            assert!(violated.is_empty(), "{place}");
            assert!(undetermined.contains(invariant.name()), "{place}");
            assert!(judgement.verdict.exit_code() != 0, "{place}");
        } else {
            panic!("{name}: begins with none of accepts-, rejects-, undetermined-");
        }
    }
}

#[test]
fn every_finding_explains_itself() {
    for (invariant, name, judgement) in goldens() {
        for finding in &judgement.findings {
            let place = format!("{}/{name}: {finding:#?}", invariant.name());
            assert!(finding.count >= 1, "{place}");
            assert!(finding.sentence.contains(" of "), "{place}");
            assert!(!finding.subjects.is_empty(), "{place}");
            assert!(!finding.story.is_empty(), "{place}");
        }
    }
}

/// Without goldens of both kinds an invariant could say anything.
#[test]
fn every_invariant_has_histories_to_accept_and_to_reject() {
    let goldens = goldens();
    for invariant in Invariant::ALL {
        for kind in ["accepts-", "rejects-"] {
            let has = goldens
                .iter()
                .any(|(of, name, _)| *of == invariant && name.starts_with(kind));
            assert!(has, "{} has no golden history {kind}*", invariant.name());
        }
        let alone = goldens.iter().any(|(of, name, _)| {
            *of == invariant && name.starts_with("rejects-") && !name.contains('+')
        });
        assert!(
            alone,
            "{} rejects no history that all others accept",
            invariant.name()
        );
    }
}

#[test]
fn a_judgement_comes_back_from_json_as_it_was() {
    for (_, name, judgement) in goldens() {
        let json = serde_json::to_string(&judgement).unwrap();
        let back: Judgement = serde_json::from_str(&json).unwrap();
        assert_eq!(back, judgement, "{name}");
    }
}
