//! What an order wants from stock, and what it gets. Pure: no I/O, no clock.

use contracts::{Line, OrderEventBody, OrderEventKind};

/// Units of one product that an order wants, over all its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The product.
    pub product_id: String,
    /// Units.
    pub quantity: i32,
}

/// In which order the products of one order are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockOrder {
    /// By product id, the same for every order, so that no two can wait for each other.
    ByProduct,
    /// As the lines stand.
    AsOrdered,
}

/// What an order gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything it wants.
    Taken,
    /// Nothing, as there is too little of this product.
    OutOfStock {
        /// The product.
        product_id: String,
    },
}

/// Why an event's lines cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLines {
    /// A quantity that is not positive.
    #[error("the quantity of `{0}` is not positive")]
    Quantity(String),
    /// More units than can be counted.
    #[error("too many units of `{0}`")]
    TooMany(String),
    /// No lines at all.
    #[error("a paid order without lines")]
    None,
}

/// What a paid order wants: one entry a product, in the order in which they are to be locked. None for events that stock
/// has nothing to do with.
///
/// # Errors
/// [`BadLines`].
pub fn wants(event: &OrderEventBody, order: LockOrder) -> Result<Option<Vec<Want>>, BadLines> {
    if event.kind != OrderEventKind::Paid {
        return Ok(None);
    }
    let mut wants: Vec<Want> = Vec::new();
    for Line {
        product_id,
        quantity,
    } in &event.lines
    {
        if *quantity <= 0 {
            return Err(BadLines::Quantity(product_id.clone()));
        }
        match wants.iter_mut().find(|want| want.product_id == *product_id) {
            Some(want) => {
                let sum = want.quantity.checked_add(*quantity);
                want.quantity = sum.ok_or_else(|| BadLines::TooMany(product_id.clone()))?;
            }
            None => wants.push(Want {
                product_id: product_id.clone(),
                quantity: *quantity,
            }),
        }
    }
    if wants.is_empty() {
        return Err(BadLines::None);
    }
    if order == LockOrder::ByProduct {
        wants.sort_by(|one, other| one.product_id.cmp(&other.product_id));
    }
    Ok(Some(wants))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paid(lines: &[(&str, i32)]) -> OrderEventBody {
        let line = |(product_id, quantity): &(&str, i32)| Line {
            product_id: (*product_id).into(),
            quantity: *quantity,
        };
        let lines = lines.iter().map(line).collect();
        OrderEventBody {
            kind: OrderEventKind::Paid,
            sequence: 3,
            lines,
            amount_minor: 1,
            currency: "EUR".into(),
            customer_id: "c-1".into(),
        }
    }

    fn products(event: &OrderEventBody, order: LockOrder) -> Vec<(String, i32)> {
        let wants = wants(event, order).expect("good lines").expect("paid");
        wants
            .into_iter()
            .map(|want| (want.product_id, want.quantity))
            .collect()
    }

    #[test]
    fn lines_of_one_product_are_added_up() {
        let event = paid(&[("b", 1), ("a", 2), ("b", 3)]);
        assert_eq!(
            products(&event, LockOrder::AsOrdered),
            [("b".to_owned(), 4), ("a".to_owned(), 2)]
        );
        assert_eq!(
            products(&event, LockOrder::ByProduct),
            [("a".to_owned(), 2), ("b".to_owned(), 4)]
        );
    }

    #[test]
    fn only_paid_orders_want_stock() {
        let event = OrderEventBody {
            kind: OrderEventKind::Placed,
            ..paid(&[("a", 1)])
        };
        assert_eq!(wants(&event, LockOrder::ByProduct), Ok(None));
    }

    #[test]
    fn senseless_lines_are_refused() {
        assert_eq!(
            wants(&paid(&[("a", 0)]), LockOrder::ByProduct),
            Err(BadLines::Quantity("a".into()))
        );
        assert_eq!(
            wants(&paid(&[("a", i32::MAX), ("a", 1)]), LockOrder::ByProduct),
            Err(BadLines::TooMany("a".into()))
        );
        assert_eq!(wants(&paid(&[]), LockOrder::ByProduct), Err(BadLines::None));
    }

    proptest! {
        /// However the lines are arranged, the same products are locked in the same order.
        #[test]
        fn the_lock_order_does_not_depend_on_the_lines(lines in proptest::collection::vec((0..6_u8, 1..5_i32), 1..12)) {
            let names: Vec<_> = lines.iter().map(|(product, quantity)| (format!("p-{product}"), *quantity)).collect();
            let as_lines = |names: &[(String, i32)]| {
                paid(&names.iter().map(|(name, quantity)| (name.as_str(), *quantity)).collect::<Vec<_>>())
            };
            let reversed: Vec<_> = names.iter().rev().cloned().collect();
            let forward = products(&as_lines(&names), LockOrder::ByProduct);
            prop_assert_eq!(&forward, &products(&as_lines(&reversed), LockOrder::ByProduct));
            prop_assert!(forward.is_sorted());
        }
    }
}
