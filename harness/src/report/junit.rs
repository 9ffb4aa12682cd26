//! `junit.xml`: a run as CI services read it. A feature is a suite, a drill a case.

use std::{collections::BTreeMap, path::Path, time::Duration};

use firedrill_oracle::DrillVerdict;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::drill::DrillResult;

/// Writes the file.
///
/// # Errors
/// The folder cannot be written.
pub fn write<'a>(
    path: &Path,
    results: impl IntoIterator<Item = &'a DrillResult>,
) -> std::io::Result<()> {
    let mut suites: BTreeMap<String, TestSuite> = BTreeMap::new();
    for result in results {
        let suite = suites
            .entry(result.order.feature.clone())
            .or_insert_with(|| TestSuite::new(result.order.feature.clone()));
        suite.add_test_case(case(result));
    }
    let mut report = Report::new("firedrill");
    report.add_test_suites(suites.into_values());
    let text = report.to_string().map_err(std::io::Error::other)?;
    std::fs::write(path, text)
}

fn case(result: &DrillResult) -> TestCase {
    let judgement = &result.judgement;
    let status = match judgement.verdict {
        DrillVerdict::Passed => TestCaseStatus::success(),
        DrillVerdict::Skipped => TestCaseStatus::skipped(),
        DrillVerdict::HarnessError | DrillVerdict::Undetermined => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
        DrillVerdict::Violated | DrillVerdict::NotRecovered | DrillVerdict::FaultNotFelt => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
    };
    let mut name = result.order.scenario.clone();
    if !result.order.without.is_empty() {
        name.push_str(&format!(" (without {})", result.order.without.join(", ")));
    }
    let mut case = TestCase::new(name, status);
    case.set_time(Duration::try_from_secs_f64(result.seconds.total()).unwrap_or_default());
    case.set_classname(result.order.feature.clone());
    let sentences: Vec<String> = judgement
        .findings
        .iter()
        .map(|finding| format!("{}: {}", finding.name, finding.sentence))
        .chain(
            judgement
                .reasons
                .iter()
                .map(|reason| reason.sentence.clone()),
        )
        .collect();
    if judgement.verdict != DrillVerdict::Passed {
        case.status.set_type(judgement.verdict.name());
        case.status
            .set_message(sentences.first().cloned().unwrap_or_default());
        let stories = judgement
            .findings
            .iter()
            .flat_map(|finding| finding.story.clone());
        let text: Vec<String> = sentences
            .into_iter()
            .chain(stories)
            .chain([format!("again: {}", result.replay)])
            .collect();
        case.status.set_description(text.join("\n"));
    }
    case
}
