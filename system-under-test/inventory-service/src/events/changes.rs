//! What inventory events say about the stock that is shown: it has changed.

use prometheus_client::metrics::counter::Counter;
use service_kit::fail_point;
use service_kit::kafka::{Hear, Received};
use service_kit::metrics::Metrics;

use crate::cache::StockCache;

/// Drops what is kept of the stock whenever an instance has answered an order.
pub struct Changes {
    cache: StockCache,
    heard: Counter,
}

impl Changes {
    /// Tells a cache of changes.
    pub fn new(cache: StockCache, metrics: &Metrics) -> Self {
        let heard = metrics.counter(
            "inventory_invalidations",
            "Messages after which the shown stock is read anew",
        );
        Self { cache, heard }
    }
}

impl Hear for Changes {
    async fn hear(&self, _message: &Received) {
        // Nobody repeats it: a message that is lost here stays lost, and the age of what is kept is the bound.
        if let Err(injected) = fail_point::pass("inventory.before-invalidation").await {
            tracing::warn!(%injected, "an invalidation was lost");
            return;
        }
        self.cache.invalidate();
        self.heard.inc();
    }

    /// What changed before is not known.
    async fn begin(&self) {
        self.cache.invalidate();
    }
}
