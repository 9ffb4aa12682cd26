//! Refuses what the firewall's rules forbid, with a reference id.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::request::Parts;
use service_kit::http::ApiError;
use service_kit::metrics::{Counters, Metrics};
use uuid::Uuid;

use crate::firewall::Firewall;

/// The firewall in front of the services.
pub struct Guard {
    firewall: Firewall,
    refused: Counters,
}

impl Guard {
    /// A guard that counts what it refuses.
    pub fn new(firewall: Firewall, metrics: &Metrics) -> Self {
        Self {
            firewall,
            refused: metrics.counters("waf_refusals", "Requests refused by the firewall, by rule"),
        }
    }

    /// Refuses an attack. The rule is told to those who run the gateway, under the reference id that a customer who was
    /// refused for nothing can name; attackers do not learn which rule they broke.
    pub(super) fn refuse_attack(&self, parts: &Parts, body: &Bytes) -> Result<(), ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let Some(rule) = self.firewall.broken_rule(query, &parts.headers, body) else {
            return Ok(());
        };
        let (rule, reference) = (rule.name(), Uuid::now_v7());
        self.refused
            .get_or_create(&vec![("rule", rule.to_owned())])
            .inc();
        tracing::warn!(rule, %reference, "a request was refused by the firewall");
        let message = format!(
            "this request was refused for safety; whoever thinks that it is harmless names the reference {reference}"
        );
        Err(ApiError::new(StatusCode::FORBIDDEN, "waf_blocked", message))
    }
}
