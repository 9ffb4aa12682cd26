//! `stock-never-negative`: after no stock move, and not at the end, are there fewer than zero units of a product.
//!
//! Units that were sold and never existed cannot be unsold, so this is judged whether or not the pipeline came to rest.

use crate::join::Joined;
use crate::names::{Key, Products};
use crate::row::MoveRow;
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "products",
    one: "fell below zero",
    several: "fell below zero",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let mut offences = Offences::new(joined);
    let mut products = 0;
    for product in joined.products() {
        let stock = joined.stock(product);
        let moves = joined.moves_of_product(product);
        if stock.is_none() && moves.len() == 0 {
            continue;
        }
        products += 1;
        let deepest = moves.min_by_key(|step| (step.on_hand_after, step.sequence));
        let after_moves = deepest.map_or(0, |step| step.on_hand_after);
        let at_end = stock.map_or(0, |row| row.on_hand.min(row.initial));
        let lowest = after_moves.min(at_end);
        if lowest < 0 {
            offences.add(Subject::Product(product), lowest.unsigned_abs(), || {
                in_words(
                    joined,
                    product,
                    lowest,
                    deepest.filter(|step| step.on_hand_after == lowest),
                )
            });
        }
    }
    offences.verdict(products, &HEADLINE)
}

fn in_words(
    joined: &Joined<'_>,
    product: Key<Products>,
    lowest: i64,
    by: Option<&MoveRow>,
) -> String {
    let id = joined.product_id(product);
    match by {
        Some(step) => format!(
            "product {id} fell to {lowest} units when order {} took {}",
            joined.order_id(step.order),
            step.quantity.units
        ),
        None => format!("product {id} has {lowest} units in the stock table"),
    }
}
