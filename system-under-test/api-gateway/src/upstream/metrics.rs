//! What the gateway counts about the instances of its upstream services.

use service_kit::metrics::{Counters, Gauges, Metrics};
use service_kit::names::Endpoint;

use crate::route::Upstream;

/// Counters and gauges of the ways to the services; clones share them.
#[derive(Clone)]
pub struct UpstreamMetrics {
    attempts: Counters,
    repetitions: Counters,
    ejections: Counters,
    ejected: Gauges,
    ready: Gauges,
}

impl UpstreamMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            attempts: metrics.counters("upstream_attempts", "Attempts at a service, by result"),
            repetitions: metrics.counters(
                "upstream_repetitions",
                "Requests to be sent again, by what the budget said",
            ),
            ejections: metrics.counters("upstream_ejections", "Ejections of an instance"),
            ejected: metrics.gauges("upstream_ejected", "Whether an instance is ejected"),
            ready: metrics.gauges(
                "upstream_ready",
                "Whether an instance says that it is ready",
            ),
        }
    }

    pub(super) fn attempted(&self, service: Upstream, result: &'static str) {
        self.attempts
            .get_or_create(&vec![
                ("service", service.name().to_owned()),
                ("result", result.to_owned()),
            ])
            .inc();
    }

    pub(super) fn repeated(&self, service: Upstream, granted: bool) {
        let said = if granted { "granted" } else { "refused" };
        self.repetitions
            .get_or_create(&vec![
                ("service", service.name().to_owned()),
                ("budget", said.to_owned()),
            ])
            .inc();
    }

    pub(super) fn ejected(&self, address: &Endpoint) {
        let labels = vec![("address", address.to_string())];
        self.ejections.get_or_create(&labels).inc();
        self.ejected.get_or_create(&labels).set(1);
    }

    pub(super) fn readiness(&self, address: &Endpoint, ready: bool) {
        self.ready
            .get_or_create(&vec![("address", address.to_string())])
            .set(i64::from(ready));
    }

    pub(super) fn readmitted(&self, address: &Endpoint) {
        self.ejected
            .get_or_create(&vec![("address", address.to_string())])
            .set(0);
    }
}
