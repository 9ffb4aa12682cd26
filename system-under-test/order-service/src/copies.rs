//! Orders as this instance last read them, for whoever only looks. In memory: no I/O.
//!
//! Customers ask far more often than orders change. A copy is kept for a short time, which bounds how old an answer can be.
//! What another instance changes meanwhile is not heard of here; who has seen it there says so when it asks.

use std::sync::Arc;
use std::time::Duration;

use moka::ops::compute::Op;
use moka::sync::Cache;
use service_kit::defences::Defences;
use uuid::Uuid;

use crate::defences::Defence;
use crate::domain::Order;

/// How many copies are kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyLimits {
    /// How long each may be shown; zero keeps none.
    pub age: Duration,
    /// How many at most.
    pub count: u64,
}

/// Copies of orders. Clones share them.
#[derive(Debug, Clone)]
pub struct Copies {
    /// None where none are kept.
    kept: Option<Cache<Uuid, Arc<Order>>>,
    defences: Defences<Defence>,
}

impl Copies {
    /// No copies yet.
    pub fn new(limits: CopyLimits, defences: Defences<Defence>) -> Self {
        let kept = (!limits.age.is_zero()).then(|| {
            Cache::builder()
                .max_capacity(limits.count)
                .time_to_live(limits.age)
                .build()
        });
        Self { kept, defences }
    }

    /// The copy of an order, unless it is too old for who has `seen` a version.
    pub fn get(&self, order_id: Uuid, seen: Option<i32>) -> Option<Arc<Order>> {
        let copy = self.kept.as_ref()?.get(&order_id)?;
        let outdated = seen.is_some_and(|seen| self.is_outdated(&copy, seen));
        (!outdated).then_some(copy)
    }

    /// Keeps an order as it was read. What was read before a change is not kept over what was read after it.
    pub fn keep(&self, order: Order) -> Arc<Order> {
        let order = as_shown(order);
        self.replace(&order, |copy| !self.is_outdated(&order, copy.version));
        order
    }

    /// This instance has changed an order itself: an older copy of it is over.
    pub fn changed(&self, order: Order) {
        let order = as_shown(order);
        self.replace(&order, |copy| self.is_outdated(copy, order.version));
    }

    /// Puts an order in the place of its copy if that is to be replaced, at one stroke.
    fn replace(&self, order: &Arc<Order>, is_replaced: impl Fn(&Order) -> bool) {
        let Some(kept) = &self.kept else { return };
        kept.entry(order.order_id)
            .and_compute_with(|copy| match copy {
                Some(copy) if !is_replaced(copy.value()) => Op::Nop,
                _ => Op::Put(order.clone()),
            });
    }

    /// Whether an order is not to be shown any more, as a later version of it is known.
    fn is_outdated(&self, order: &Order, known_version: i32) -> bool {
        self.defences.on(Defence::ReadYourWrites) && order.version < known_version
    }
}

/// What of an order is shown: its note may be long.
fn as_shown(order: Order) -> Arc<Order> {
    Arc::new(Order {
        note: None,
        ..order
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::State;

    const LONG: CopyLimits = CopyLimits {
        age: Duration::from_secs(3_600),
        count: 100,
    };

    fn order(version: i32) -> Order {
        Order {
            order_id: Uuid::nil(),
            reference: "r".to_owned(),
            customer_id: "c".to_owned(),
            state: State::Paid,
            version,
            amount_minor: 1,
            currency: "EUR".to_owned(),
            lines: Vec::new(),
            note: Some("n".repeat(20_000)),
        }
    }

    fn copies() -> Copies {
        Copies::new(LONG, Defences::all())
    }

    fn version(copies: &Copies, seen: Option<i32>) -> Option<i32> {
        let copy = copies.get(Uuid::nil(), seen)?;
        assert_eq!(copy.note, None, "nobody is shown it");
        Some(copy.version)
    }

    #[test]
    fn a_copy_is_shown_to_whoever_has_not_seen_a_later_version() {
        let copies = copies();
        assert_eq!(version(&copies, None), None);
        assert_eq!(copies.keep(order(3)).version, 3);
        for seen in [None, Some(2), Some(3)] {
            assert_eq!(version(&copies, seen), Some(3), "{seen:?}");
        }
        assert_eq!(version(&copies, Some(4)), None);
    }

    #[test]
    fn a_copy_is_replaced_by_what_is_later_and_by_nothing_earlier() {
        let copies = copies();
        copies.keep(order(3));
        copies.keep(order(2));
        assert_eq!(version(&copies, None), Some(3), "read before");
        copies.changed(order(4));
        assert_eq!(version(&copies, None), Some(4), "changed here");
        copies.changed(order(3));
        copies.keep(order(3));
        assert_eq!(version(&copies, None), Some(4));
    }

    #[test]
    fn without_the_defence_what_was_read_last_is_shown_whatever_is_known() {
        let copies = Copies::new(LONG, Defences::without([Defence::ReadYourWrites]));
        copies.keep(order(3));
        copies.changed(order(4));
        assert_eq!(version(&copies, Some(4)), Some(3));
        copies.keep(order(2));
        assert_eq!(version(&copies, Some(4)), Some(2));
    }

    #[test]
    fn copies_are_few_and_none_without_an_age() {
        let few = Copies::new(CopyLimits { count: 10, ..LONG }, Defences::all());
        for number in 0..1_000 {
            let order_id = Uuid::from_u128(number);
            few.keep(Order {
                order_id,
                ..order(1)
            });
        }
        let kept = few.kept.as_ref().expect("kept");
        kept.run_pending_tasks();
        assert!(kept.entry_count() <= 10, "{}", kept.entry_count());

        let age = Duration::ZERO;
        let none = Copies::new(CopyLimits { age, ..LONG }, Defences::all());
        none.keep(order(1));
        assert_eq!(version(&none, None), None);
    }
}
