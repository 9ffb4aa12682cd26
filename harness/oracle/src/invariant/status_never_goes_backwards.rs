//! `status-never-goes-backwards`: nobody who was shown a version of an order is shown an older one afterwards.
//!
//! Of one customer's looks at one order, one is held against those that were answered before it was asked for; what was under
//! way at the same time may be shown in either order. A look that says no version has that of the order's only change to the
//! state that it says, where the audit trail was read; else nothing is concluded from it. What was shown was shown, so this is
//! judged whether or not the pipeline came to rest.

use crate::join::Joined;
use crate::names::{Key, Orders};
use crate::record::FactKind;
use crate::row::LookRow;
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "orders that customers looked at",
    one: "was shown as it had been before",
    several: "were shown as they had been before",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let has_trail = joined.missing(&[FactKind::AuditEntry]).is_none();
    let mut offences = Offences::new(joined);
    let mut checked = 0;
    let mut shown: Vec<Shown<'_>> = Vec::new();
    for order in joined.orders() {
        shown.clear();
        shown.extend(joined.looks_of(order).filter_map(|row| {
            let version = row
                .version
                .or_else(|| version_in_trail(joined, row).filter(|_| has_trail))?;
            Some(Shown { row, version })
        }));
        checked += u64::from(!shown.is_empty());
        shown.sort_by_key(|one| (one.row.customer, one.row.asked_us));
        let customers = shown.chunk_by(|one, other| one.row.customer == other.row.customer);
        let steps: Vec<_> = customers.flat_map(steps_back).collect();
        if let Some(first) = steps.first() {
            offences.add(Subject::Order(order), steps.len() as u64, || {
                in_words(joined, order, *first, steps.len())
            });
        }
    }
    offences.verdict(checked, &HEADLINE)
}

#[derive(Debug, Clone, Copy)]
struct Shown<'h> {
    row: &'h LookRow,
    version: i64,
}

/// A look, and the latest version that its customer had been shown before.
#[derive(Debug, Clone, Copy)]
struct StepBack<'h> {
    before: Shown<'h>,
    after: Shown<'h>,
}

/// The looks of one customer, by when they were asked for, that went back behind what had been answered until then.
fn steps_back<'h>(asked: &[Shown<'h>]) -> Vec<StepBack<'h>> {
    let mut answered = asked.to_vec();
    answered.sort_by_key(|one| one.row.answered_us);
    let mut answered = answered.into_iter().peekable();
    let mut latest: Option<Shown<'h>> = None;
    let mut steps = Vec::new();
    for look in asked {
        while let Some(one) = answered.next_if(|one| one.row.answered_us <= look.row.asked_us) {
            if latest.is_none_or(|latest| latest.version <= one.version) {
                latest = Some(one);
            }
        }
        if let Some(before) = latest.filter(|latest| look.version < latest.version) {
            let after = *look;
            steps.push(StepBack { before, after });
        }
    }
    steps
}

/// The version with which the order came to the state that was shown, if it came there exactly once.
fn version_in_trail(joined: &Joined<'_>, row: &LookRow) -> Option<i64> {
    let mut changes = joined
        .audit_of(row.order)
        .filter(|change| change.to == row.state);
    let version = changes.next()?.version;
    changes.next().is_none().then_some(version)
}

fn in_words(
    joined: &Joined<'_>,
    order: Key<Orders>,
    StepBack { before, after }: StepBack<'_>,
    times: usize,
) -> String {
    let later_ms = after.row.answered_us.saturating_sub(before.row.answered_us) / 1_000;
    let often = match times {
        1 => String::new(),
        _ => format!(" ({times} times in all)"),
    };
    format!(
        "order {} was shown to {} as {} with version {}, {later_ms} ms after it had been {} with version {}{often}",
        joined.order_id(order),
        joined.word(after.row.customer),
        joined.word(after.row.state),
        after.version,
        joined.word(before.row.state),
        before.version,
    )
}
