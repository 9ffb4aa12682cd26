//! `every-order-final`: every order of the order table is in a final state.
//!
//! While the pipeline still moves, an order that is not final is only late.

use crate::join::Joined;
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "orders",
    one: "never reached a final state",
    several: "never reached a final state",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let mut offences = Offences::new(joined);
    let orders = &joined.history.rows.orders;
    for row in orders.iter().filter(|row| !row.is_final) {
        offences.add_unless_moving(Subject::Order(row.order), 1, || {
            format!(
                "order {} is still {}",
                joined.order_id(row.order),
                joined.word(row.state)
            )
        });
    }
    offences.verdict(orders.len() as u64, &HEADLINE)
}
