//! `stock-adds-up`: for every product three counts are the same: the units gone from stock (initial less on hand), the
//! sum of its stock moves, and the units of fulfilled orders.
//!
//! The three are kept by two services, so while the pipeline still moves they may differ.

use crate::join::Joined;
use crate::names::{Key, Products};
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "products",
    one: "does not add up",
    several: "do not add up",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let rows = &joined.history.rows;
    let mut moved = vec![0_i64; joined.products().count()];
    let mut sold = moved.clone();
    for step in &rows.moves {
        add(&mut moved, step.quantity.product, step.quantity.units);
    }
    for line in &rows.lines {
        if joined
            .order(line.order)
            .is_some_and(|row| joined.is_fulfilled(row))
        {
            add(&mut sold, line.quantity.product, line.quantity.units);
        }
    }
    let mut offences = Offences::new(joined);
    let mut checked = 0;
    for product in joined.products() {
        let (moved, sold) = (moved[product.index()], sold[product.index()]);
        let stock = joined.stock(product);
        if stock.is_none() && moved == 0 && sold == 0 {
            continue;
        }
        checked += 1;
        let gone = stock.map(|row| row.initial.saturating_sub(row.on_hand));
        if gone != Some(moved) || moved != sold {
            let weight = moved
                .abs_diff(sold)
                .max(gone.map_or(0, |gone| gone.abs_diff(moved)));
            offences.add_unless_moving(Subject::Product(product), weight, || {
                in_words(joined, product, moved, sold)
            });
        }
    }
    offences.verdict(checked, &HEADLINE)
}

fn add(sums: &mut [i64], product: Key<Products>, units: i64) {
    let sum = &mut sums[product.index()];
    *sum = sum.saturating_add(units);
}

fn in_words(joined: &Joined<'_>, product: Key<Products>, moved: i64, sold: i64) -> String {
    let id = joined.product_id(product);
    let books = format!("the stock moves sum up to {moved}, fulfilled orders have {sold}");
    match joined.stock(product) {
        Some(row) => format!(
            "product {id} went from {} units to {}, which is {} gone; {books}",
            row.initial,
            row.on_hand,
            row.initial.saturating_sub(row.on_hand)
        ),
        None => format!("product {id} is not in the stock table; {books}"),
    }
}
