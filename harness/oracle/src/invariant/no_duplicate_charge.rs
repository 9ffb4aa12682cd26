//! `no-duplicate-charge`: at most one booked charge for each order and for each purchase of a customer.
//!
//! A purchase is one intent, however often it was attempted. A second charge is a violation even when it was given back:
//! the customer saw the money leave twice. Charges are never unbooked, so this is judged whether or not the pipeline
//! came to rest.

use crate::join::Joined;
use crate::names::{Key, Orders};
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "charged purchases",
    one: "was charged more than once",
    several: "were charged more than once",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let mut offences = Offences::new(joined);
    let mut purchases = 0;
    let mut has_intent = vec![false; joined.orders().count()];
    for intent in joined.intents() {
        let mut charged = joined
            .orders_of(intent)
            .filter(|order| joined.charges_of(*order).len() > 0);
        joined
            .orders_of(intent)
            .for_each(|order| has_intent[order.index()] = true);
        let Some(first) = charged.next() else {
            continue;
        };
        purchases += 1;
        let Some(second) = charged.next() else {
            check_order(joined, first, &mut offences);
            continue;
        };
        let mut orders = vec![first, second];
        orders.extend(charged);
        let times: usize = orders
            .iter()
            .map(|order| joined.charges_of(*order).len())
            .sum();
        offences.add(Subject::Intent(intent), times as u64, || {
            format!(
                "reference {} was charged {times} times, through {} orders: {}",
                joined.reference(intent),
                orders.len(),
                in_words(joined, &orders)
            )
        });
    }
    for order in joined.orders().filter(|order| !has_intent[order.index()]) {
        if joined.charges_of(order).len() > 0 {
            purchases += 1;
            check_order(joined, order, &mut offences);
        }
    }
    offences.verdict(purchases, &HEADLINE)
}

fn check_order(joined: &Joined<'_>, order: Key<Orders>, offences: &mut Offences<'_, '_>) {
    let times = joined.charges_of(order).len();
    if times > 1 {
        offences.add(Subject::Order(order), times as u64, || {
            format!(
                "order {} was charged {times} times, {}",
                joined.order_id(order),
                amounts(joined, order)
            )
        });
    }
}

/// What an order was charged: `2 x 12.00 EUR`, or the sums one by one when they differ.
fn amounts(joined: &Joined<'_>, order: Key<Orders>) -> String {
    let amounts: Vec<i64> = joined
        .charges_of(order)
        .map(|charge| charge.amount_minor)
        .collect();
    match amounts.first() {
        Some(first) if amounts.len() > 1 && amounts.iter().all(|amount| amount == first) => {
            format!("{} x {}", amounts.len(), joined.money(*first))
        }
        _ => amounts
            .iter()
            .map(|amount| joined.money(*amount))
            .collect::<Vec<_>>()
            .join(" + "),
    }
}

fn in_words(joined: &Joined<'_>, orders: &[Key<Orders>]) -> String {
    let words =
        |order: &Key<Orders>| format!("{} ({})", joined.order_id(*order), amounts(joined, *order));
    orders.iter().map(words).collect::<Vec<_>>().join(", ")
}
