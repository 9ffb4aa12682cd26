//! Judging a history: every invariant, the scenario's own expectations, whether the faults were felt, whether the
//! pipeline came to rest; one verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use crate::drill_verdict::DrillVerdict;
use crate::history::History;
use crate::invariant::Invariant;
use crate::join::Joined;
use crate::lifecycle;
use crate::memory::{MemoryUse, memory_use};
use crate::record::{Expectation, FactKind, Settlement};
use crate::row::OutcomeRow;
use crate::verdict::{Evidence, Verdict};

/// What is to be said about a drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: DrillVerdict,
    /// Every promise that was broken.
    pub findings: Vec<Finding>,
    /// How often each fault was felt, by each witness.
    pub felt: Vec<Felt>,
    /// What was ordered and what became of it.
    pub orders: OrderCounts,
    /// What else made the verdict: harness errors, what did not come to rest, what could not be determined.
    pub reasons: Vec<Reason>,
    /// Every check that was made, with its result.
    pub checks: Vec<Checked>,
    /// The memory of every instance, where the scenario asks for it.
    #[serde(default)]
    pub memory: Vec<MemoryUse>,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the invariant or of the expectation.
    #[serde(rename = "invariant")]
    pub name: String,
    /// What broke, in one sentence.
    pub sentence: String,
    /// The worst case, if it is worse than the first.
    pub worst: Option<String>,
    /// How often it was broken.
    pub count: u64,
    /// Whom it concerns, the first ones: `order 0192...`.
    pub subjects: Vec<String>,
    /// The life of the first subject, one line for each thing that happened to it.
    pub story: Vec<String>,
}

/// How often a fault was felt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Felt {
    /// Name of the profile.
    pub fault: String,
    /// Who witnessed it, in words.
    pub witness: String,
    /// How often it was felt.
    pub count: u64,
    /// How often it had to be.
    pub at_least: u64,
}

impl Felt {
    /// Whether it was felt often enough. Once is the least: a fault nobody felt shows nothing.
    pub fn is_enough(&self) -> bool {
        self.count >= self.at_least.max(1)
    }
}

/// A sentence that made the verdict, beside the findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The verdict it speaks for.
    pub verdict: DrillVerdict,
    /// What is the matter.
    pub sentence: String,
}

/// A check that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Name of the invariant or of the expectation.
    pub name: String,
    /// How it ended.
    pub result: CheckResult,
    /// How many subjects were looked at.
    pub checked: u64,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// The promise was kept.
    Holds,
    /// The promise was broken; see the finding of this name.
    Violated,
    /// Nothing can be said; see the reasons.
    Undetermined,
}

/// What was ordered and what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCounts {
    /// Purchases that customers attempted, each counted once.
    pub attempted: u64,
    /// Attempts, retries included.
    pub attempts: u64,
    /// Purchases that were answered with an accepted order.
    pub accepted: u64,
    /// Purchases all of whose attempts were refused.
    pub refused: u64,
    /// Purchases of which no customer knows whether they happened.
    pub unknown: u64,
    /// Orders in the order table.
    pub stored: u64,
    /// Orders whose money was taken and kept.
    pub paid: u64,
    /// Orders whose money was taken and given back in full.
    pub refunded: u64,
    /// Orders that were fulfilled.
    pub fulfilled: u64,
    /// Orders that are not in a final state.
    pub unfinished: u64,
}

impl Judgement {
    /// The judgement of a drill that was not run because a capability is missing.
    pub fn skipped(sentence: impl Into<String>) -> Self {
        Self::without_history(DrillVerdict::Skipped, sentence.into())
    }

    /// The judgement of a drill that left no history because the harness failed.
    pub fn harness_error(sentence: impl Into<String>) -> Self {
        Self::without_history(DrillVerdict::HarnessError, sentence.into())
    }

    /// Nothing can be said about the system, and the harness did not fail otherwise.
    pub fn undetermined(sentence: impl Into<String>) -> Self {
        Self::without_history(DrillVerdict::Undetermined, sentence.into())
    }

    fn without_history(verdict: DrillVerdict, sentence: String) -> Self {
        Self {
            verdict,
            findings: Vec::new(),
            felt: Vec::new(),
            orders: OrderCounts::default(),
            reasons: vec![Reason { verdict, sentence }],
            checks: Vec::new(),
            memory: Vec::new(),
        }
    }

    fn because(&mut self, verdict: DrillVerdict, sentence: String) {
        self.verdict = self.verdict.merge(verdict);
        self.reasons.push(Reason { verdict, sentence });
    }

    fn take(&mut self, name: &str, verdict: Verdict) {
        let (result, checked) = match verdict {
            Verdict::Holds { checked } => (CheckResult::Holds, checked),
            Verdict::Violated(evidence) => {
                let checked = evidence.checked;
                self.verdict = self.verdict.merge(DrillVerdict::Violated);
                self.findings.push(Finding::new(name, evidence));
                (CheckResult::Violated, checked)
            }
            Verdict::Undetermined { reason } => {
                self.because(DrillVerdict::Undetermined, format!("{name}: {reason}"));
                (CheckResult::Undetermined, 0)
            }
        };
        self.checks.push(Checked {
            name: name.to_owned(),
            result,
            checked,
        });
    }
}

impl Finding {
    fn new(name: &str, evidence: Evidence) -> Self {
        Self {
            name: name.to_owned(),
            sentence: evidence.sentence,
            worst: evidence.worst,
            count: evidence.count,
            subjects: evidence.subjects,
            story: evidence.story,
        }
    }
}

/// Judges a drill by its history. Nothing that could not be checked counts as kept.
pub fn judge(history: &History) -> Judgement {
    let mut judgement = Judgement {
        verdict: DrillVerdict::Passed,
        findings: Vec::new(),
        felt: felt(history),
        orders: OrderCounts::default(),
        reasons: Vec::new(),
        checks: Vec::new(),
        memory: memory_asked_for(history),
    };
    // What ended the drill may be the same healing that failed.
    let healing = history
        .healing_errors
        .iter()
        .filter(|error| !history.harness_errors.contains(error));
    for error in history.harness_errors.iter().chain(healing) {
        judgement.because(DrillVerdict::HarnessError, error.clone());
    }
    for felt in judgement
        .felt
        .clone()
        .iter()
        .filter(|felt| !felt.is_enough())
    {
        judgement.because(DrillVerdict::FaultNotFelt, not_felt(felt));
    }
    judge_settlement(history, &mut judgement);
    if history.rows.operations.is_empty() {
        let sentence = "no customer attempted anything, so nothing was shown".to_owned();
        judgement.because(DrillVerdict::Undetermined, sentence);
    }
    let flaws = history.flaws();
    if flaws.is_empty() {
        judge_promises(history, &mut judgement);
    } else {
        for flaw in flaws {
            judgement.because(DrillVerdict::Undetermined, flaw);
        }
    }
    judgement
}

/// Checks every promise; one that cannot be checked to the end is undetermined.
fn judge_promises(history: &History, judgement: &mut Judgement) {
    let joined = match catch_unwind(AssertUnwindSafe(|| Joined::new(history))) {
        Ok(joined) => joined,
        Err(panic) => {
            let sentence = format!("the facts could not be joined: {}", panic_message(&*panic));
            judgement.because(DrillVerdict::Undetermined, sentence);
            return;
        }
    };
    judgement.orders = catch_unwind(AssertUnwindSafe(|| count_orders(&joined))).unwrap_or_default();
    for invariant in Invariant::ALL {
        judgement.take(invariant.name(), guarded(|| invariant.check(&joined)));
    }
    for expectation in &history.expectations {
        judgement.take(expectation.name(), guarded(|| expectation.check(&joined)));
    }
}

fn memory_asked_for(history: &History) -> Vec<MemoryUse> {
    let is_asked_for = |one: &Expectation| matches!(one, Expectation::MemoryGrowth { .. });
    match history.expectations.iter().any(is_asked_for) {
        true => memory_use(history).unwrap_or_default(),
        false => Vec::new(),
    }
}

/// Makes a check that crashes undetermined.
fn guarded(check: impl FnOnce() -> Verdict) -> Verdict {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| Verdict::Undetermined {
        reason: format!("the check crashed: {}", panic_message(&*panic)),
    })
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it did not say why".to_owned())
}

/// What every witness had counted in the end; a fault without a witness was felt by nobody.
fn felt(history: &History) -> Vec<Felt> {
    let mut felt: Vec<Felt> = Vec::new();
    for row in &history.felt {
        felt.push(Felt {
            fault: row.fault.clone(),
            witness: row.witness.clone(),
            count: row.count,
            at_least: row.at_least,
        });
    }
    for started in &history.faults {
        if !felt.iter().any(|felt| felt.fault == started.fault) {
            felt.push(Felt {
                fault: started.fault.clone(),
                witness: "nobody was asked".to_owned(),
                count: 0,
                at_least: 1,
            });
        }
    }
    felt
}

fn not_felt(felt: &Felt) -> String {
    format!(
        "the fault \"{}\" was felt {} times ({}), at least {} were needed",
        felt.fault,
        felt.count,
        felt.witness,
        felt.at_least.max(1)
    )
}

fn judge_settlement(history: &History, judgement: &mut Judgement) {
    let (verdict, how) = match &history.settled {
        Some((Settlement::Settled, _)) => return,
        Some((Settlement::Stuck, _)) => (DrillVerdict::NotRecovered, "the pipeline is stuck"),
        Some((Settlement::TimedOut, _)) => (
            DrillVerdict::NotRecovered,
            "the pipeline did not come to rest in time",
        ),
        None => (
            DrillVerdict::Undetermined,
            "the journal does not say whether the pipeline came to rest",
        ),
    };
    let outstanding = history
        .settled
        .as_ref()
        .map_or(&[][..], |(_, outstanding)| outstanding);
    let sentence = if outstanding.is_empty() {
        how.to_owned()
    } else {
        format!("{how}: {}", outstanding.join("; "))
    };
    judgement.because(verdict, sentence);
}

fn count_orders(joined: &Joined<'_>) -> OrderCounts {
    let rows = &joined.history.rows;
    let mut counts = OrderCounts {
        attempts: rows.operations.len() as u64,
        stored: rows.orders.len() as u64,
        ..OrderCounts::default()
    };
    for intent in joined.intents() {
        let (mut tried, mut accepted, mut unknown) = (false, false, false);
        for operation in joined.operations_of(intent) {
            tried = true;
            accepted |= matches!(operation.outcome, OutcomeRow::Done(_));
            unknown |= matches!(operation.outcome, OutcomeRow::Unknown(_));
        }
        counts.attempted += u64::from(tried);
        counts.accepted += u64::from(accepted);
        counts.unknown += u64::from(unknown && !accepted);
        counts.refused += u64::from(tried && !unknown && !accepted);
    }
    let fulfilled = joined.history.names.words.find(lifecycle::FULFILLED);
    for row in &rows.orders {
        counts.fulfilled += u64::from(Some(row.state) == fulfilled);
        counts.unfinished += u64::from(!row.is_final);
    }
    let refunds_known = joined.history.not_observed(FactKind::Refund).is_none();
    for order in joined
        .orders()
        .filter(|order| joined.charges_of(*order).len() > 0)
    {
        let is_kept = joined
            .charges_of(order)
            .any(|row| joined.refunded(row.charge) < row.amount_minor);
        counts.paid += u64::from(is_kept);
        counts.refunded += u64::from(!is_kept && refunds_known);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_crashes_is_undetermined() {
        let verdict = guarded(|| panic!("index {} out of bounds", 7));
        let Verdict::Undetermined { reason } = verdict else {
            unreachable!("a crash must not count as kept");
        };
        assert_eq!(reason, "the check crashed: index 7 out of bounds");
    }

    #[test]
    fn an_empty_history_is_no_pass() {
        let judgement = judge(&History::new());
        assert_eq!(judgement.verdict, DrillVerdict::Undetermined);
        assert!(judgement.checks.is_empty());
    }
}
