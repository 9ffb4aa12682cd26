//! Proving: a scenario must pass as written, and fail without each defence that it names, with the finding that it names.
//! Pure: what was drilled goes in, the matrix of which defence protects from which failure comes out.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_oracle::DrillVerdict;

use crate::drill::DrillResult;

/// What proving has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// One row a scenario and defence, and one for each scenario as written.
    pub rows: Vec<Row>,
    /// Defences of the topology that no scenario needed.
    pub waiting_defences: Vec<String>,
    /// Scenarios that no defence breaks.
    pub unbroken_scenarios: Vec<String>,
}

/// One line of the matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Catalogue ids.
    pub failures: Vec<String>,
    /// `features/x.feature:12 name`.
    pub scenario: String,
    /// The defence that was off; none for the scenario as written.
    pub without: Option<String>,
    /// The finding that had to appear; none for the scenario as written.
    pub must_find: Option<String>,
    /// How often it was drilled.
    pub drills: usize,
    /// Whether every drill showed what it had to.
    pub shown: Shown,
}

/// What the drills of one row showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// What had to be shown, every time.
    Proven,
    /// Something else, at least once: what, and how to see it again.
    Refuted(String),
    /// The harness failed at least once: why.
    Broken(String),
}

impl Proof {
    /// Reads the results of all drills of a proof.
    pub fn new<'a>(
        results: impl IntoIterator<Item = &'a DrillResult>,
        defences: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut rows: BTreeMap<(String, usize, Option<String>), Row> = BTreeMap::new();
        for result in results {
            let order = &result.order;
            let without = order.must_find.as_ref().and(order.without.first().cloned());
            let row = rows
                .entry((order.feature.clone(), order.line, without.clone()))
                .or_insert_with(|| Row {
                    failures: order.failures.clone(),
                    scenario: format!("{}:{} {}", order.feature, order.line, order.scenario),
                    without,
                    must_find: order.must_find.clone(),
                    drills: 0,
                    shown: Shown::Proven,
                });
            row.drills += 1;
            row.shown = std::mem::replace(&mut row.shown, Shown::Proven).and(shown(result));
        }
        let rows: Vec<Row> = rows.into_values().collect();
        let needed: BTreeSet<&str> = rows
            .iter()
            .filter_map(|row| row.without.as_deref())
            .collect();
        let broken: BTreeSet<&str> = rows
            .iter()
            .filter(|row| row.without.is_some())
            .map(|row| row.scenario.as_str())
            .collect();
        let unbroken_scenarios = rows
            .iter()
            .filter(|row| row.without.is_none() && !broken.contains(row.scenario.as_str()))
            .map(|row| row.scenario.clone())
            .collect();
        let waiting_defences = defences
            .into_iter()
            .filter(|name| !needed.contains(name))
            .map(str::to_owned)
            .collect();
        Self {
            rows,
            waiting_defences,
            unbroken_scenarios,
        }
    }

    /// Rows that were proven, and rows that were not.
    pub fn counts(&self) -> (usize, usize) {
        let proven = self
            .rows
            .iter()
            .filter(|row| row.shown == Shown::Proven)
            .count();
        (proven, self.rows.len() - proven)
    }

    /// 0 when everything was proven, 1 when something was refuted, 2 when the harness failed.
    pub fn exit_code(&self) -> u8 {
        self.rows
            .iter()
            .map(|row| match row.shown {
                Shown::Proven => 0,
                Shown::Refuted(_) => 1,
                Shown::Broken(_) => 2,
            })
            .max()
            .unwrap_or(0)
    }
}

impl Shown {
    fn and(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Broken(_), _) | (Self::Refuted(_), Self::Proven | Self::Refuted(_)) => self,
            _ => other,
        }
    }
}

/// What one drill showed, against what it had to show.
fn shown(result: &DrillResult) -> Shown {
    let judgement = &result.judgement;
    let verdict = judgement.verdict;
    let again = &result.replay;
    if verdict == DrillVerdict::HarnessError {
        let reasons: Vec<_> = judgement
            .reasons
            .iter()
            .map(|reason| reason.sentence.as_str())
            .collect();
        return Shown::Broken(format!("{} (again: {again})", reasons.join("; ")));
    }
    let Some(must_find) = &result.order.must_find else {
        return match verdict {
            DrillVerdict::Passed => Shown::Proven,
            other => Shown::Refuted(format!(
                "{} with every defence on (again: {again})",
                other.name()
            )),
        };
    };
    let found: Vec<&str> = judgement
        .findings
        .iter()
        .map(|finding| finding.name.as_str())
        .collect();
    if found.contains(&must_find.as_str()) {
        return Shown::Proven;
    }
    let instead = if found.is_empty() {
        verdict.name().to_owned()
    } else {
        format!("only {}", found.join(", "))
    };
    Shown::Refuted(format!(
        "{instead}, where {must_find} had to appear (again: {again})"
    ))
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use firedrill_oracle::{Finding, Judgement};

    use super::*;
    use crate::drill::{DrillOrder, Seconds};

    fn result(
        without: Option<(&str, &str)>,
        verdict: DrillVerdict,
        findings: &[&str],
    ) -> DrillResult {
        let mut judgement = Judgement::skipped("");
        judgement.verdict = verdict;
        judgement.findings = findings
            .iter()
            .map(|name| Finding {
                name: (*name).into(),
                sentence: String::new(),
                worst: None,
                count: 1,
                subjects: Vec::new(),
                story: Vec::new(),
            })
            .collect();
        let order = DrillOrder {
            index: 1,
            feature: "f".into(),
            line: 3,
            scenario: "s".into(),
            failures: vec!["6.5".into()],
            without: without
                .iter()
                .map(|(defence, _)| (*defence).to_owned())
                .collect(),
            must_find: without.map(|(_, finding)| finding.to_owned()),
            seed: 1,
            folder: PathBuf::new(),
        };
        DrillResult {
            order: Arc::new(order),
            judgement,
            seconds: Seconds::default(),
            replay: String::new(),
        }
    }

    #[test]
    fn a_scenario_that_passes_without_its_defence_is_refuted() {
        let passes = result(None, DrillVerdict::Passed, &[]);
        let caught = result(Some(("a", "x")), DrillVerdict::Violated, &["x", "y"]);
        let uncaught = result(Some(("b", "x")), DrillVerdict::Passed, &[]);
        let proof = Proof::new([&passes, &caught], ["a", "b"]);
        assert_eq!((proof.exit_code(), proof.counts()), (0, (2, 0)));
        assert_eq!(proof.waiting_defences, ["b"]);
        assert_eq!(
            Proof::new([&passes, &caught, &uncaught], ["a", "b"]).exit_code(),
            1
        );
    }

    #[test]
    fn another_finding_than_the_named_one_is_no_proof() {
        let other = result(Some(("a", "x")), DrillVerdict::Violated, &["y"]);
        assert_eq!(Proof::new([&other], []).exit_code(), 1);
    }

    #[test]
    fn one_bad_drill_among_many_decides() {
        let good = result(None, DrillVerdict::Passed, &[]);
        let bad = result(None, DrillVerdict::FaultNotFelt, &[]);
        let broken = result(None, DrillVerdict::HarnessError, &[]);
        assert_eq!(Proof::new([&good, &bad, &good], []).exit_code(), 1);
        assert_eq!(Proof::new([&good, &broken, &bad], []).exit_code(), 2);
    }
}
