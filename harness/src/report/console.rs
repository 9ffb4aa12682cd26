//! For the person in front of the screen: one live line a drill, then one line a verdict and one sentence a finding.
//! Plain lines where nobody watches.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use firedrill_oracle::{DrillVerdict, Judgement};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{
    drill::{DrillOrder, DrillResult, Event},
    terminal::say,
};

/// Lines of a story that are shown; the journal has them all.
const STORY_LINES: usize = 24;

/// Prints a run as it goes on.
pub struct Console {
    live: Option<MultiProgress>,
    lines: Mutex<BTreeMap<usize, ProgressBar>>,
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

impl Console {
    /// Live lines on a terminal, plain lines elsewhere.
    pub fn new() -> Self {
        let watched = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        Self {
            live: watched.then(MultiProgress::new),
            lines: Mutex::default(),
        }
    }

    /// Shows an event.
    pub fn show(&self, event: &Event) {
        match event {
            Event::RunStarted {
                drills,
                seed,
                testbed,
                folder,
            } => {
                let noun = if *drills == 1 { "drill" } else { "drills" };
                self.print(&format!(
                    "{drills} {noun}, testbed {testbed}, seed {seed}, everything in {}",
                    folder.display()
                ));
            }
            Event::DrillStarted { order } => self.open_line(order),
            Event::Progress {
                index,
                phase,
                attempted,
                accepted,
                felt,
            } => {
                let felt: Vec<String> = felt
                    .iter()
                    .map(|felt| format!(", felt {} of {}", felt.count, felt.at_least))
                    .collect();
                self.update_line(
                    *index,
                    format!(
                        "{phase}: {accepted} of {attempted} orders accepted{}",
                        felt.concat()
                    ),
                );
            }
            Event::DrillFinished { result } => {
                self.close_line(result.order.index);
                for line in describe(result) {
                    self.print(&line);
                }
            }
        }
    }

    fn open_line(&self, order: &DrillOrder) {
        let Some(live) = &self.live else { return };
        let line = live.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg}") {
            line.set_style(style);
        }
        line.set_prefix(title(order));
        line.enable_steady_tick(Duration::from_millis(120));
        self.locked().insert(order.index, line);
    }

    fn update_line(&self, index: usize, message: String) {
        if let Some(line) = self.locked().get(&index) {
            line.set_message(message);
        }
    }

    fn close_line(&self, index: usize) {
        if let Some(line) = self.locked().remove(&index) {
            line.finish_and_clear();
        }
    }

    /// Prints a line above the live ones.
    pub fn print(&self, line: &str) {
        match &self.live {
            Some(live) => live.suspend(|| say(line)),
            None => say(line),
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, ProgressBar>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn title(order: &DrillOrder) -> String {
    let without = match order.without.as_slice() {
        [] => String::new(),
        names => format!(" without {}", names.join(", ")),
    };
    format!(
        "{}:{} {}{without}",
        order.feature, order.line, order.scenario
    )
}

/// A finished drill in lines: the verdict, then a sentence for each finding, its story and how to do it again.
pub fn describe(result: &DrillResult) -> Vec<String> {
    let seconds = format!("; {:.1} s", result.seconds.total());
    let mut lines = describe_judgement(&title(&result.order), &result.judgement, &seconds);
    if result.judgement.verdict != DrillVerdict::Passed {
        lines.push(format!("    again: {}", result.replay));
    }
    lines
}

/// A judgement in lines; `more` goes to the end of the first.
pub fn describe_judgement(title: &str, judgement: &Judgement, more: &str) -> Vec<String> {
    let felt: Vec<String> = judgement
        .felt
        .iter()
        .map(|felt| {
            format!(
                "; {}: {} {}, at least {}",
                felt.fault, felt.count, felt.witness, felt.at_least
            )
        })
        .collect();
    let mut lines = vec![format!(
        "{:14} {title}  [{} of {} orders accepted{}{more}]",
        judgement.verdict.name(),
        judgement.orders.accepted,
        judgement.orders.attempted,
        felt.concat(),
    )];
    lines.extend(
        judgement
            .memory
            .iter()
            .map(|one| format!("    memory of {}", one.describe())),
    );
    if judgement.verdict == DrillVerdict::Passed {
        return lines;
    }
    for finding in &judgement.findings {
        lines.push(format!("    {}: {}", finding.name, finding.sentence));
    }
    lines.extend(
        judgement
            .reasons
            .iter()
            .map(|reason| format!("    {}", reason.sentence)),
    );
    if let Some(finding) = judgement
        .findings
        .iter()
        .find(|finding| !finding.story.is_empty())
    {
        lines.extend(
            finding
                .story
                .iter()
                .take(STORY_LINES)
                .map(|line| format!("      {line}")),
        );
        if finding.story.len() > STORY_LINES {
            lines.push(format!(
                "      ... and {} more lines in the journal",
                finding.story.len() - STORY_LINES
            ));
        }
    }
    lines
}

/// The closing line of a run.
pub fn closing_line<'a>(results: impl IntoIterator<Item = &'a DrillResult>) -> String {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for result in results {
        match result.judgement.verdict {
            DrillVerdict::Passed => passed += 1,
            DrillVerdict::Skipped => skipped += 1,
            _ => failed += 1,
        }
    }
    closing(passed, failed, skipped)
}

/// `N passed, N failed`, and how many were skipped if any were.
pub fn closing(passed: usize, failed: usize, skipped: usize) -> String {
    match skipped {
        0 => format!("{passed} passed, {failed} failed"),
        _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
    }
}
