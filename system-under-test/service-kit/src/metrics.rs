//! Prometheus metrics of one service.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

/// Labels of one series, name and value.
pub type Labels = Vec<(&'static str, String)>;
/// Counters that differ in their labels.
pub type Counters = Family<Labels, Counter>;
/// Gauges that differ in their labels.
pub type Gauges = Family<Labels, Gauge>;
/// Histograms of seconds that differ in their labels.
pub type Durations = Family<Labels, Histogram, fn() -> Histogram>;

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a service; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// Registers any metric.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .register(name, help, metric);
    }

    /// A counter; `_total` is added to its name when it is shown.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.register(name, help, counter.clone());
        counter
    }

    /// Counters with labels.
    pub fn counters(&self, name: &str, help: &str) -> Counters {
        let counters = Counters::default();
        self.register(name, help, counters.clone());
        counters
    }

    /// A gauge.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.register(name, help, gauge.clone());
        gauge
    }

    /// Gauges with labels.
    pub fn gauges(&self, name: &str, help: &str) -> Gauges {
        let gauges = Gauges::default();
        self.register(name, help, gauges.clone());
        gauges
    }

    /// Histograms of seconds with labels, from 1 ms to 16 s; the name ends in `_seconds`.
    pub fn durations(&self, name: &str, help: &str) -> Durations {
        let durations = Durations::new_with_constructor(seconds_histogram);
        self.register(name, help, durations.clone());
        durations
    }

    /// All metrics as Prometheus reads them.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn seconds_histogram() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(
        0.001, 2.0, 15,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_shown_with_their_labels() {
        let metrics = Metrics::default();
        metrics.counter("orders", "Orders placed").inc();
        metrics
            .counters("requests", "Requests")
            .get_or_create(&vec![("route", "/orders".to_owned())])
            .inc_by(2);
        metrics
            .durations("work_seconds", "Work")
            .get_or_create(&vec![])
            .observe(0.5);
        let text = metrics.text().expect("encodes");
        assert!(text.contains("orders_total 1"), "{text}");
        assert!(
            text.contains("requests_total{route=\"/orders\"} 2"),
            "{text}"
        );
        assert!(text.contains("work_seconds_count{} 1"), "{text}");
    }
}
