//! What the gateway counts about the order service's instances.

use std::net::SocketAddr;

use service_kit::metrics::{Counters, Gauges, Metrics};

/// Counters and gauges of the way to the order service.
pub(super) struct UpstreamMetrics {
    attempts: Counters,
    repetitions: Counters,
    ejections: Counters,
    ejected: Gauges,
}

impl UpstreamMetrics {
    /// Registers them.
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            attempts: metrics.counters(
                "upstream_attempts",
                "Attempts at the order service, by result",
            ),
            repetitions: metrics.counters(
                "upstream_repetitions",
                "Requests to be sent again, by what the budget said",
            ),
            ejections: metrics.counters("upstream_ejections", "Ejections of an order instance"),
            ejected: metrics.gauges("upstream_ejected", "Whether an order instance is ejected"),
        }
    }

    pub(super) fn attempted(&self, result: &'static str) {
        self.attempts
            .get_or_create(&vec![("result", result.to_owned())])
            .inc();
    }

    pub(super) fn repeated(&self, granted: bool) {
        let said = if granted { "granted" } else { "refused" };
        self.repetitions
            .get_or_create(&vec![("budget", said.to_owned())])
            .inc();
    }

    pub(super) fn ejected(&self, address: SocketAddr) {
        let labels = vec![("address", address.to_string())];
        self.ejections.get_or_create(&labels).inc();
        self.ejected.get_or_create(&labels).set(1);
    }

    pub(super) fn readmitted(&self, address: SocketAddr) {
        self.ejected
            .get_or_create(&vec![("address", address.to_string())])
            .set(0);
    }
}
