//! `no-double-decrement`: a fulfilled order took from stock exactly what it ordered, once; an order that ended otherwise
//! took nothing, or put back what it took.
//!
//! At no moment may an order hold more units than it ordered, even if it puts them back. That is judged at any time;
//! what was not taken yet, or not put back yet, only once the pipeline is at rest. An order that is not final may hold
//! its units or not: that it hangs is another promise's matter.

use crate::join::Joined;
use crate::names::{Key, Orders, Products};
use crate::row::{MoveRow, OrderRow};
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "orders",
    one: "did not take from stock what it should",
    several: "did not take from stock what they should",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let mut offences = Offences::new(joined);
    let mut checked = 0;
    let mut moves: Vec<&MoveRow> = Vec::new();
    let mut products: Vec<Key<Products>> = Vec::new();
    for order in joined.orders() {
        moves.clear();
        moves.extend(joined.moves_of(order));
        let row = joined.order(order);
        if row.is_none() && moves.is_empty() {
            continue;
        }
        checked += 1;
        moves.sort_by_key(|step| step.sequence);
        products.clear();
        products.extend(joined.lines_of(order).map(|line| line.quantity.product));
        products.extend(moves.iter().map(|step| step.quantity.product));
        products.sort_unstable();
        products.dedup();
        for product in &products {
            let taken = Taken::new(joined, order, *product, &moves);
            if let Some((certain, expected)) = taken.problem(joined, row) {
                let weight = taken
                    .at_end
                    .abs_diff(expected)
                    .max(taken.at_most.abs_diff(taken.ordered));
                let sentence = || taken.in_words(joined, order, *product, row);
                if certain {
                    offences.add(Subject::Order(order), weight, sentence);
                } else {
                    offences.add_unless_moving(Subject::Order(order), weight, sentence);
                }
                break;
            }
        }
    }
    offences.verdict(checked, &HEADLINE)
}

/// Units of one product, for one order.
struct Taken {
    ordered: i64,
    /// The most it ever held.
    at_most: i64,
    /// What it holds in the end.
    at_end: i64,
}

impl Taken {
    fn new(
        joined: &Joined<'_>,
        order: Key<Orders>,
        product: Key<Products>,
        moves: &[&MoveRow],
    ) -> Self {
        let lines = joined
            .lines_of(order)
            .filter(|line| line.quantity.product == product);
        let mut taken = Self {
            ordered: lines
                .map(|line| line.quantity.units)
                .fold(0, i64::saturating_add),
            at_most: 0,
            at_end: 0,
        };
        for step in moves.iter().filter(|step| step.quantity.product == product) {
            taken.at_end = taken.at_end.saturating_add(step.quantity.units);
            taken.at_most = taken.at_most.max(taken.at_end);
        }
        taken
    }

    /// Whether something is certainly wrong, or wrong if it stays so, and what should be held in the end.
    fn problem(&self, joined: &Joined<'_>, row: Option<&OrderRow>) -> Option<(bool, i64)> {
        let expected = match row {
            Some(row) if joined.is_fulfilled(row) => self.ordered,
            Some(row) if !row.is_final => self.at_end.min(self.ordered).max(0),
            _ => 0,
        };
        if row.is_some() && (self.at_most > self.ordered || self.at_end < 0) {
            return Some((true, expected));
        }
        (self.at_end != expected).then_some((false, expected))
    }

    fn in_words(
        &self,
        joined: &Joined<'_>,
        order: Key<Orders>,
        product: Key<Products>,
        row: Option<&OrderRow>,
    ) -> String {
        let (id, product) = (joined.order_id(order), joined.product_id(product));
        let Self {
            ordered,
            at_most,
            at_end,
        } = self;
        match row {
            None => format!(
                "{at_end} units of {product} were taken for order {id}, which is not in the order table"
            ),
            Some(_) if at_most > ordered => {
                format!("order {id} ordered {ordered} units of {product} and took {at_most}")
            }
            Some(row) => format!(
                "order {id} is {}, ordered {ordered} units of {product} and took {at_end}",
                joined.word(row.state)
            ),
        }
    }
}
