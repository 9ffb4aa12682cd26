//! The stock as it was last read, for whoever only wants to look at it. In memory: no I/O, the clock is handed in.
//!
//! What is kept is served until it is too old or until somebody says that it changed. The second is said by messages, which
//! can be lost; the first is what bounds the damage then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::store::Stock;

/// The stock of all products at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The products, by their ids.
    pub stock: Vec<Stock>,
    /// When it was read.
    pub as_of: OffsetDateTime,
}

impl Snapshot {
    /// Units of a product; none when it is not known.
    pub fn on_hand(&self, product_id: &str) -> Option<i32> {
        let place = self
            .stock
            .binary_search_by(|stock| stock.product_id.as_str().cmp(product_id));
        place.ok().map(|place| self.stock[place].on_hand)
    }
}

/// A snapshot that is kept, and when it must be read anew. Clones share it.
#[derive(Debug, Clone)]
pub struct StockCache {
    max_age: Option<Duration>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    kept: Option<(Arc<Snapshot>, Instant)>,
    /// Counts what was said to have changed.
    changes: u64,
}

/// Proof of what had changed before a reading began: a reading that was overtaken by a change is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

impl StockCache {
    /// An empty cache; without `max_age` only a change makes it read anew.
    pub fn new(max_age: Option<Duration>) -> Self {
        Self {
            max_age,
            shared: Arc::default(),
        }
    }

    /// What is kept and may still be shown.
    pub fn get(&self, now: Instant) -> Option<Arc<Snapshot>> {
        let shared = self.shared();
        let (snapshot, read_at) = shared.kept.as_ref()?;
        let age = now.saturating_duration_since(*read_at);
        let is_fresh = self.max_age.is_none_or(|max_age| age <= max_age);
        is_fresh.then(|| snapshot.clone())
    }

    /// To be taken before the stock is read.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.shared().changes)
    }

    /// Keeps what was read since `ticket` was taken, at `read_at`; not if something has changed meanwhile.
    pub fn keep(&self, ticket: Ticket, snapshot: Arc<Snapshot>, read_at: Instant) {
        let mut shared = self.shared();
        if shared.changes == ticket.0 {
            shared.kept = Some((snapshot, read_at));
        }
    }

    /// Stock has changed: the next one who asks reads it anew.
    pub fn invalidate(&self) {
        let mut shared = self.shared();
        shared.changes += 1;
        shared.kept = None;
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(5);

    fn snapshot(on_hand: i32) -> Arc<Snapshot> {
        let stock = |product: &str| Stock {
            product_id: product.to_owned(),
            on_hand,
        };
        Arc::new(Snapshot {
            stock: vec![stock("p-1"), stock("p-2")],
            as_of: OffsetDateTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn a_snapshot_is_shown_until_it_is_too_old_or_something_changed() {
        let (cache, begin) = (StockCache::new(Some(AGE)), Instant::now());
        assert_eq!(cache.get(begin), None);
        cache.keep(cache.ticket(), snapshot(7), begin);
        let shown = cache.get(begin + AGE).expect("still fresh");
        assert_eq!(
            (shown.on_hand("p-2"), shown.on_hand("p-3")),
            (Some(7), None)
        );
        assert_eq!(cache.get(begin + AGE + Duration::from_millis(1)), None);
        cache.invalidate();
        assert_eq!(cache.get(begin), None);
    }

    #[test]
    fn without_a_bound_only_a_change_ends_it() {
        let (cache, begin) = (StockCache::new(None), Instant::now());
        cache.keep(cache.ticket(), snapshot(7), begin);
        assert!(cache.get(begin + 1_000 * AGE).is_some());
        cache.invalidate();
        assert_eq!(cache.get(begin), None);
    }

    #[test]
    fn a_reading_that_a_change_overtook_is_not_kept() {
        let (cache, begin) = (StockCache::new(None), Instant::now());
        let ticket = cache.ticket();
        cache.invalidate();
        cache.keep(ticket, snapshot(7), begin);
        assert_eq!(cache.get(begin), None);
    }
}
