//! `accepted-order-never-lost`: every order of which a customer was told "accepted" is in the order table, for the same
//! purchase and with the same lines.
//!
//! An order is stored before the customer is answered, so this is judged whether or not the pipeline came to rest.

use crate::join::Joined;
use crate::names::{Key, Orders};
use crate::row::{OperationRow, OutcomeRow, Quantity};
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "accepted orders",
    one: "was lost",
    several: "were lost",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let mut offences = Offences::new(joined);
    let mut accepted = 0;
    let mut wanted = Vec::new();
    let mut stored = Vec::new();
    for intent in joined.intents() {
        let mut before = None;
        for operation in joined.operations_of(intent) {
            let OutcomeRow::Done(order) = operation.outcome else {
                continue;
            };
            if before == Some(order) {
                continue;
            }
            before = Some(order);
            accepted += 1;
            add_up(joined.wanted(operation).iter().copied(), &mut wanted);
            add_up(
                joined.lines_of(order).map(|line| line.quantity),
                &mut stored,
            );
            if let Some(problem) = problem(joined, operation, order, wanted == stored) {
                offences.add(Subject::Order(order), 1, || {
                    in_words(joined, operation, order, &problem)
                });
            }
        }
    }
    offences.verdict(accepted, &HEADLINE)
}

enum Problem {
    Missing,
    OtherIntent,
    OtherLines,
}

fn problem(
    joined: &Joined<'_>,
    operation: &OperationRow,
    order: Key<Orders>,
    same_lines: bool,
) -> Option<Problem> {
    match joined.order(order) {
        None => Some(Problem::Missing),
        Some(row) if row.intent != operation.intent => Some(Problem::OtherIntent),
        Some(_) if !same_lines => Some(Problem::OtherLines),
        Some(_) => None,
    }
}

fn in_words(
    joined: &Joined<'_>,
    operation: &OperationRow,
    order: Key<Orders>,
    problem: &Problem,
) -> String {
    let id = joined.order_id(order);
    let reference = joined.reference(operation.intent);
    match (problem, joined.order(order)) {
        (Problem::OtherIntent, Some(row)) => format!(
            "order {id}, accepted for reference {reference}, is in the order table for reference {}",
            joined.reference(row.intent)
        ),
        (Problem::OtherLines, _) => format!(
            "order {id} was accepted with {}, the order table has {}",
            list(joined, joined.wanted(operation).iter().copied()),
            list(joined, joined.lines_of(order).map(|line| line.quantity))
        ),
        _ => format!("order {id}, accepted for reference {reference}, is not in the order table"),
    }
}

/// The units of each product, sorted by product.
fn add_up(quantities: impl Iterator<Item = Quantity>, sum: &mut Vec<Quantity>) {
    sum.clear();
    sum.extend(quantities);
    sum.sort_unstable();
    sum.dedup_by(|later, earlier| {
        let same = later.product == earlier.product;
        if same {
            earlier.units = earlier.units.saturating_add(later.units);
        }
        same
    });
}

fn list(joined: &Joined<'_>, quantities: impl Iterator<Item = Quantity>) -> String {
    let words: Vec<_> = quantities
        .map(|quantity| {
            format!(
                "{} x {}",
                quantity.units,
                joined.product_id(quantity.product)
            )
        })
        .collect();
    if words.is_empty() {
        "no lines".to_owned()
    } else {
        words.join(", ")
    }
}
