//! `no-charge-without-order`: money and goods match.
//!
//! Every charge belongs to an order that was fulfilled for exactly that amount, or was given back in full; and, the same
//! promise seen from the other side, a fulfilled order was charged. While the pipeline still moves, a charge may yet be
//! given back and an order may yet be fulfilled; a wrong amount and money given back twice are wrong at any time.

use crate::join::Joined;
use crate::names::{Key, Orders};
use crate::row::ChargeRow;
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "charges and fulfilled orders",
    one: "does not match",
    several: "do not match",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let mut offences = Offences::new(joined);
    let mut checked = 0;
    for order in joined.orders() {
        let mut kept = 0_u64;
        for charge in joined.charges_of(order) {
            checked += 1;
            if joined.refunded(charge.charge) < charge.amount_minor {
                kept += 1;
            }
            check_charge(joined, charge, &mut offences);
        }
        let row = joined
            .order(order)
            .filter(|row| joined.is_fulfilled(row) && row.amount_minor > 0);
        if row.is_some() && kept == 0 {
            checked += 1;
            offences.add_unless_moving(Subject::Order(order), 1, || unpaid(joined, order));
        }
    }
    for refund in &joined.history.rows.refunds {
        if joined.charge(refund.charge).is_none() {
            offences.add_unless_moving(Subject::Order(refund.order), 1, || {
                format!(
                    "{} were given back for order {}, of a charge that was never booked",
                    joined.money(refund.amount_minor),
                    joined.order_id(refund.order)
                )
            });
        }
    }
    offences.verdict(checked, &HEADLINE)
}

fn check_charge(joined: &Joined<'_>, charge: &ChargeRow, offences: &mut Offences<'_, '_>) {
    let refunded = joined.refunded(charge.charge);
    let subject = Subject::Order(charge.order);
    let weight = charge.amount_minor.abs_diff(refunded);
    let (id, taken, back) = (
        joined.order_id(charge.order),
        || joined.money(charge.amount_minor),
        || {
            if refunded == 0 {
                "nothing".to_owned()
            } else {
                joined.money(refunded)
            }
        },
    );
    if refunded > charge.amount_minor {
        offences.add(subject, weight, || {
            format!(
                "order {id} was charged {} and {} were given back",
                taken(),
                back()
            )
        });
        return;
    }
    if refunded == charge.amount_minor {
        return;
    }
    match joined.order(charge.order) {
        None => offences.add_unless_moving(subject, weight, || {
            format!(
                "{} were charged for order {id}, which is not in the order table",
                taken()
            )
        }),
        Some(row) if !joined.is_fulfilled(row) => {
            offences.add_unless_moving(subject, weight, || {
                format!(
                    "order {id} was charged {}, got {} back, and was not fulfilled: it is {}",
                    taken(),
                    back(),
                    joined.word(row.state)
                )
            })
        }
        Some(row) if row.amount_minor != charge.amount_minor => {
            offences.add(subject, weight, || {
                format!(
                    "order {id} is fulfilled for {}, yet {} were charged",
                    joined.money(row.amount_minor),
                    taken()
                )
            })
        }
        Some(_) if refunded != 0 => offences.add_unless_moving(subject, weight, || {
            format!(
                "order {id} is fulfilled, yet {} of {} were given back",
                back(),
                taken()
            )
        }),
        Some(_) => {}
    }
}

fn unpaid(joined: &Joined<'_>, order: Key<Orders>) -> String {
    let id = joined.order_id(order);
    match joined.charges_of(order).len() {
        0 => format!("order {id} was fulfilled but never charged"),
        _ => format!("order {id} was fulfilled although its money was given back"),
    }
}
