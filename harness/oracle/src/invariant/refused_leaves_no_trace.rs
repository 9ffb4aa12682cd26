//! `refused-leaves-no-trace`: a purchase all of whose attempts were refused has no order, and so no charge and no stock
//! move.
//!
//! Refused means: certainly without effect. One attempt with an unknown outcome is enough for an order to be legitimate.
//! What is there cannot have been refused, so this is judged whether or not the pipeline came to rest.

use crate::join::Joined;
use crate::names::{Intents, Key, Orders};
use crate::row::OutcomeRow;
use crate::verdict::{Headline, Offences, Subject, Verdict, counted};

const HEADLINE: Headline = Headline {
    of: "refused purchases",
    one: "left a trace",
    several: "left a trace",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let mut offences = Offences::new(joined);
    let mut checked = 0;
    for intent in joined.intents() {
        let mut attempts = joined.operations_of(intent);
        let is_refused = attempts.len() > 0
            && attempts.all(|operation| matches!(operation.outcome, OutcomeRow::Refused(_)));
        if !is_refused {
            continue;
        }
        checked += 1;
        if let Some(order) = joined.orders_of(intent).next() {
            let orders = joined.orders_of(intent).len() as u64;
            offences.add(Subject::Intent(intent), orders, || {
                in_words(joined, intent, order)
            });
        }
    }
    offences.verdict(checked, &HEADLINE)
}

fn in_words(joined: &Joined<'_>, intent: Key<Intents>, order: Key<Orders>) -> String {
    let attempts = joined.operations_of(intent).len() as u64;
    let reason = joined
        .operations_of(intent)
        .find_map(|operation| match operation.outcome {
            OutcomeRow::Refused(reason) => Some(joined.word(reason)),
            _ => None,
        });
    let state = joined
        .order(order)
        .map_or("unknown", |row| joined.word(row.state));
    format!(
        "reference {} was refused in {} ({}), yet order {} is {state}, with {} and {}",
        joined.reference(intent),
        counted(attempts, "attempt"),
        reason.unwrap_or("no reason"),
        joined.order_id(order),
        counted(joined.charges_of(order).len() as u64, "charge"),
        counted(joined.moves_of(order).len() as u64, "stock move")
    )
}
