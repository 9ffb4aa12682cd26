//! `told-after-payment`: no customer is told that an order is paid unless it is.
//!
//! Two ledgers outside are compared: the mailbox of the message provider and the charges of the payment provider. A charge
//! is booked before anybody can know of it, so a message that says `paid` comes after it, by clocks that agree. Where the
//! ledger of charges tells no times, only orders that were never charged are found.

use crate::join::Joined;
use crate::lifecycle;
use crate::names::{Key, Orders};
use crate::row::ToldRow;
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "confirmed orders",
    one: "was confirmed although it was not paid",
    several: "were confirmed although they were not paid",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let mut offences = Offences::new(joined);
    let mut checked = 0;
    let Some(paid) = joined.history.names.words.find(lifecycle::PAID) else {
        return offences.verdict(checked, &HEADLINE);
    };
    for order in joined.orders() {
        let confirmations = joined.told_of(order).filter(|row| row.kind == paid);
        let Some(first) = confirmations.min_by_key(|row| row.at_us) else {
            continue;
        };
        checked += 1;
        check_order(joined, order, first, &mut offences);
    }
    offences.verdict(checked, &HEADLINE)
}

fn check_order(
    joined: &Joined<'_>,
    order: Key<Orders>,
    first: &ToldRow,
    offences: &mut Offences<'_, '_>,
) {
    let subject = Subject::Order(order);
    let id = joined.order_id(order);
    let channel = joined.word(first.channel);
    if joined.charges_of(order).len() == 0 {
        // While customers still pay, the ledger may have been read before the charge was booked.
        offences.add_unless_moving(subject, u64::MAX, || {
            format!("order {id} was never charged, and its customer was told by {channel} that it is paid")
        });
        return;
    }
    let Some(charged_us) = joined.first_charged_us(order) else {
        return;
    };
    if first.at_us < charged_us {
        let early_ms = first.at_us.abs_diff(charged_us) / 1_000;
        offences.add(subject, early_ms, || {
            format!("the customer of order {id} was told by {channel} that it is paid {early_ms} ms before its charge was booked")
        });
    }
}
