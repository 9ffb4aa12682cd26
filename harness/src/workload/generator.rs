//! Intents of customers, drawn from one seeded stream: the same seed gives the same intents in the same order.

use firedrill_oracle::record::OrderLine;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::system::Product;

/// Everything that is for sale.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assortment {
    /// The products, in the order of their ids.
    pub products: Vec<Product>,
}

/// What prices are in (ISO 4217).
const CURRENCY: &str = "EUR";

impl Assortment {
    /// `count` products with `units` each; prices follow from the seed (1.00 to 99.99).
    pub fn new(count: usize, units: i64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xa550_27e0);
        let products = (1..=count)
            .map(|number| Product {
                product_id: format!("p-{number:04}"),
                price_minor: 100 + i64::from(below(&mut rng, 9_900)),
                currency: CURRENCY.to_owned(),
                units,
            })
            .collect();
        Self { products }
    }

    /// What the lines cost together, in minor units; none for an unknown product or a sum that does not fit.
    pub fn amount_minor(&self, lines: &[OrderLine]) -> Option<i64> {
        lines.iter().try_fold(0_i64, |sum, line| {
            let product = self
                .products
                .iter()
                .find(|product| product.product_id == line.product_id)?;
            sum.checked_add(product.price_minor.checked_mul(line.quantity)?)
        })
    }
}

/// What one customer wants; every attempt to get it carries the same reference and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The customer's purchase reference, unique in the drill.
    pub reference: String,
    /// Who wants it.
    pub customer: String,
    /// The idempotency key, if this customer sends one.
    pub idempotency_key: Option<String>,
    /// The products.
    pub lines: Vec<OrderLine>,
    /// What the customer is shown as the sum, in minor units.
    pub amount_minor: i64,
    /// The currency that the customer is shown (ISO 4217).
    pub currency: &'static str,
}

/// Draws intents.
#[derive(Debug)]
pub struct Generator {
    rng: ChaCha8Rng,
    assortment: Assortment,
    prefix: String,
    next: u64,
}

/// Different people among the customers of a drill.
const CUSTOMERS: u32 = 200;

impl Generator {
    /// Customers draw from `assortment`; `prefix` makes references unique beside other generators of the same drill.
    pub fn new(seed: u64, assortment: Assortment, prefix: impl Into<String>) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            assortment,
            prefix: prefix.into(),
            next: 0,
        }
    }

    /// The next intent: one to `most_lines` products, one or two units of each.
    pub fn next_intent(&mut self, with_key: bool, most_lines: u32) -> Intent {
        let kinds = u32::try_from(self.assortment.products.len())
            .unwrap_or(u32::MAX)
            .max(1);
        let count = 1 + below(&mut self.rng, most_lines.clamp(1, kinds));
        let mut lines: Vec<OrderLine> = Vec::new();
        for _ in 0..count {
            let index = below(&mut self.rng, kinds) as usize;
            let quantity = 1 + i64::from(below(&mut self.rng, 2));
            let Some(product) = self.assortment.products.get(index) else {
                continue;
            };
            if lines
                .iter()
                .all(|line| line.product_id != product.product_id)
            {
                lines.push(OrderLine {
                    product_id: product.product_id.clone(),
                    quantity,
                });
            }
        }
        self.intent(lines, with_key)
    }

    /// An intent for exactly these lines.
    pub fn intent(&mut self, lines: Vec<OrderLine>, with_key: bool) -> Intent {
        self.next += 1;
        let customer = format!("customer-{:03}", 1 + below(&mut self.rng, CUSTOMERS));
        let key = format!("{:016x}{:016x}", self.rng.next_u64(), self.rng.next_u64());
        Intent {
            reference: format!("{}-{:06}", self.prefix, self.next),
            customer,
            idempotency_key: with_key.then_some(key),
            amount_minor: self.assortment.amount_minor(&lines).unwrap_or(0),
            currency: CURRENCY,
            lines,
        }
    }
}

/// A number below `bound`, without the bias of a plain remainder (Lemire's multiply-and-shift).
fn below(rng: &mut impl Rng, bound: u32) -> u32 {
    let product = u64::from(rng.next_u32()) * u64::from(bound.max(1));
    u32::try_from(product >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_intents() {
        let draw = |seed| {
            let mut generator = Generator::new(seed, Assortment::new(40, 25, seed), "r");
            (0..50)
                .map(|_| generator.next_intent(true, 3))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn an_intent_names_each_product_once_and_shows_its_sum() {
        let assortment = Assortment::new(3, 5, 1);
        let mut generator = Generator::new(1, assortment.clone(), "r");
        for _ in 0..200 {
            let intent = generator.next_intent(true, 3);
            let mut names: Vec<_> = intent.lines.iter().map(|line| &line.product_id).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), intent.lines.len());
            assert_eq!(
                Some(intent.amount_minor),
                assortment.amount_minor(&intent.lines)
            );
            assert!(intent.amount_minor > 0);
        }
    }
}
