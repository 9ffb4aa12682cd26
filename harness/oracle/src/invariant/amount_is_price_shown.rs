//! `amount-is-price-shown`: no order is accepted, and no charge is made, for another amount than the customer was shown.
//!
//! An attempt that was answered with an order is held against what it showed. An order that no answer names must fit an
//! attempt of its purchase that may have placed it: one that was refused showed a price that was not agreed upon. What was
//! taken for the wrong amount is wrong even if it is given back, so this is judged whether or not the pipeline came to rest.

use crate::join::Joined;
use crate::names::{Intents, Key, Orders};
use crate::row::OutcomeRow;
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "orders and charges",
    one: "has another amount than the customer was shown",
    several: "have another amount than the customers were shown",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let mut offences = Offences::new(joined);
    let mut checked = 0;
    let mut shown = Vec::new();
    for intent in joined.intents() {
        for order in joined.orders_of(intent) {
            // An order that belongs to another purchase is `accepted-order-never-lost`'s to find.
            if joined.order(order).is_some_and(|row| row.intent != intent) {
                continue;
            }
            shown.clear();
            shown.extend(amounts_shown(joined, intent, order));
            if shown.is_empty() {
                continue;
            }
            if let Some(row) = joined.order(order) {
                checked += 1;
                compare(
                    joined,
                    &mut offences,
                    order,
                    &shown,
                    row.amount_minor,
                    "is for",
                );
            }
            for charge in joined.charges_of(order) {
                checked += 1;
                let amount = charge.amount_minor;
                compare(joined, &mut offences, order, &shown, amount, "was charged");
            }
        }
    }
    offences.verdict(checked, &HEADLINE)
}

/// What the attempts showed that were answered with this order; where none was, what those showed that may have placed it.
fn amounts_shown(
    joined: &Joined<'_>,
    intent: Key<Intents>,
    order: Key<Orders>,
) -> impl Iterator<Item = i64> {
    let is_told = move |outcome| matches!(outcome, OutcomeRow::Done(told) if told == order);
    let told_so = joined
        .operations_of(intent)
        .any(|operation| is_told(operation.outcome));
    joined
        .operations_of(intent)
        .filter(move |operation| match operation.outcome {
            OutcomeRow::Unknown(_) => !told_so,
            outcome => is_told(outcome),
        })
        .map(|operation| operation.amount_minor)
}

fn compare(
    joined: &Joined<'_>,
    offences: &mut Offences<'_, '_>,
    order: Key<Orders>,
    shown: &[i64],
    amount_minor: i64,
    verb: &str,
) {
    if shown.contains(&amount_minor) {
        return;
    }
    let nearest = shown
        .iter()
        .min_by_key(|shown| shown.abs_diff(amount_minor))
        .copied()
        .unwrap_or(amount_minor);
    offences.add(
        Subject::Order(order),
        amount_minor.abs_diff(nearest),
        || {
            let id = joined.order_id(order);
            let (amount, nearest) = (joined.money(amount_minor), joined.money(nearest));
            format!("order {id} {verb} {amount}, yet the customer was shown {nearest}")
        },
    );
}
