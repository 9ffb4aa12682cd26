//! The failure catalogue: what this project must be able to inject, by the ids that features and profiles are tagged with.

/// One failure of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Layer and number, `6.5`; the tag is `@F6.5`.
    pub id: &'static str,
    /// What goes wrong.
    pub title: &'static str,
}

impl Failure {
    /// Title of its layer.
    pub fn layer(&self) -> &'static str {
        let number = self
            .id
            .split('.')
            .next()
            .and_then(|layer| layer.parse::<usize>().ok());
        number
            .and_then(|layer| LAYERS.get(layer.checked_sub(1)?))
            .copied()
            .unwrap_or_default()
    }
}

/// A failure by its id, `6.5`.
pub fn failure(id: &str) -> Option<&'static Failure> {
    FAILURES.iter().find(|failure| failure.id == id)
}

/// Titles of the layers, the first is layer 1.
pub const LAYERS: [&str; 13] = [
    "Frontend -> API gateway",
    "API gateway -> order service",
    "Order service -> database (PostgreSQL)",
    "Order service -> message queue (Kafka)",
    "Message queue -> payment service",
    "Payment service -> external payment provider",
    "Retry logic and timeouts",
    "Too many queued transactions released after downtime",
    "Event bus -> downstream services",
    "Notification service",
    "Analytics service",
    "Inventory service",
    "Infrastructure and platform",
];

/// Every failure, in the order of the catalogue.
pub const FAILURES: [Failure; 104] = [
    Failure {
        id: "1.1",
        title: "network latency or packet loss",
    },
    Failure {
        id: "1.2",
        title: "TLS handshake failure",
    },
    Failure {
        id: "1.3",
        title: "DNS resolution failure",
    },
    Failure {
        id: "1.4",
        title: "gateway throttling",
    },
    Failure {
        id: "1.5",
        title: "CORS misconfiguration",
    },
    Failure {
        id: "1.6",
        title: "stale client-side cache",
    },
    Failure {
        id: "1.7",
        title: "browser timeout",
    },
    Failure {
        id: "2.1",
        title: "routing misconfiguration",
    },
    Failure {
        id: "2.2",
        title: "JWT validation failure",
    },
    Failure {
        id: "2.3",
        title: "rate limiting or WAF blocking",
    },
    Failure {
        id: "2.4",
        title: "order instance unavailable",
    },
    Failure {
        id: "2.5",
        title: "cold start delay",
    },
    Failure {
        id: "2.6",
        title: "(de)serialization error",
    },
    Failure {
        id: "2.7",
        title: "request body too large",
    },
    Failure {
        id: "2.8",
        title: "timeout between gateway and service",
    },
    Failure {
        id: "3.1",
        title: "connection pool exhaustion",
    },
    Failure {
        id: "3.2",
        title: "deadlock",
    },
    Failure {
        id: "3.3",
        title: "slow queries, cascading timeouts",
    },
    Failure {
        id: "3.4",
        title: "transaction conflict",
    },
    Failure {
        id: "3.5",
        title: "schema drift",
    },
    Failure {
        id: "3.6",
        title: "database failover",
    },
    Failure {
        id: "3.7",
        title: "partial write",
    },
    Failure {
        id: "3.8",
        title: "lost write (optimistic concurrency)",
    },
    Failure {
        id: "4.1",
        title: "queue unavailable",
    },
    Failure {
        id: "4.2",
        title: "queue throttling",
    },
    Failure {
        id: "4.3",
        title: "message too large",
    },
    Failure {
        id: "4.4",
        title: "duplicate enqueue by retry",
    },
    Failure {
        id: "4.5",
        title: "enqueue not acknowledged in time",
    },
    Failure {
        id: "4.6",
        title: "poison message",
    },
    Failure {
        id: "4.7",
        title: "wrong visibility timeout -> double processing",
    },
    Failure {
        id: "4.8",
        title: "queue depth spike",
    },
    Failure {
        id: "5.1",
        title: "consumer crash mid-processing",
    },
    Failure {
        id: "5.2",
        title: "processing so slow that the message is delivered again",
    },
    Failure {
        id: "5.3",
        title: "scale-out too aggressive, thundering herd",
    },
    Failure {
        id: "5.4",
        title: "scale-out too slow, backlog grows",
    },
    Failure {
        id: "5.5",
        title: "lock renewal failure",
    },
    Failure {
        id: "5.6",
        title: "wrong retry policy",
    },
    Failure {
        id: "5.7",
        title: "out-of-order delivery",
    },
    Failure {
        id: "5.8",
        title: "wrong queue or wrong schema version",
    },
    Failure {
        id: "6.1",
        title: "provider down",
    },
    Failure {
        id: "6.2",
        title: "provider rate limit",
    },
    Failure {
        id: "6.3",
        title: "API version mismatch",
    },
    Failure {
        id: "6.4",
        title: "network timeout",
    },
    Failure {
        id: "6.5",
        title: "charged, but the answer is lost",
    },
    Failure {
        id: "6.6",
        title: "idempotency key not used",
    },
    Failure {
        id: "6.7",
        title: "200 OK with an error in the body",
    },
    Failure {
        id: "6.8",
        title: "500, but charged",
    },
    Failure {
        id: "6.9",
        title: "latency spike -> cascading timeouts",
    },
    Failure {
        id: "6.10",
        title: "TLS certificate rotation",
    },
    Failure {
        id: "7.1",
        title: "timeout too short",
    },
    Failure {
        id: "7.2",
        title: "timeout too long, starvation",
    },
    Failure {
        id: "7.3",
        title: "mismatched timeouts between layers -> retry storm",
    },
    Failure {
        id: "7.4",
        title: "timeout + retry -> duplicate side effect",
    },
    Failure {
        id: "7.5",
        title: "exponential backoff misconfigured",
    },
    Failure {
        id: "7.6",
        title: "no jitter, synchronised waves",
    },
    Failure {
        id: "7.7",
        title: "retrying a non-idempotent operation",
    },
    Failure {
        id: "7.8",
        title: "retrying into saturation",
    },
    Failure {
        id: "8.1",
        title: "thundering herd of instances",
    },
    Failure {
        id: "8.2",
        title: "provider overwhelmed -> failures -> retries",
    },
    Failure {
        id: "8.3",
        title: "visibility timeouts expire -> double processing",
    },
    Failure {
        id: "8.4",
        title: "duplicate charges",
    },
    Failure {
        id: "8.5",
        title: "database overwhelmed by updates",
    },
    Failure {
        id: "8.6",
        title: "inventory flooded by events",
    },
    Failure {
        id: "8.7",
        title: "duplicate e-mails",
    },
    Failure {
        id: "8.8",
        title: "analytics sees events out of order",
    },
    Failure {
        id: "8.9",
        title: "autoscaling cost explosion",
    },
    Failure {
        id: "8.10",
        title: "circuit breakers open -> cascade",
    },
    Failure {
        id: "9.1",
        title: "event schema mismatch",
    },
    Failure {
        id: "9.2",
        title: "event versioning",
    },
    Failure {
        id: "9.3",
        title: "ordering lost",
    },
    Failure {
        id: "9.4",
        title: "duplicate events",
    },
    Failure {
        id: "9.5",
        title: "bus outage",
    },
    Failure {
        id: "9.6",
        title: "consumer lag",
    },
    Failure {
        id: "9.7",
        title: "consumer crash",
    },
    Failure {
        id: "9.8",
        title: "replay with side effects",
    },
    Failure {
        id: "9.9",
        title: "eventual consistency confuses users",
    },
    Failure {
        id: "10.1",
        title: "e-mail/SMS provider down",
    },
    Failure {
        id: "10.2",
        title: "provider throttling",
    },
    Failure {
        id: "10.3",
        title: "duplicate notification",
    },
    Failure {
        id: "10.4",
        title: "wrong template version",
    },
    Failure {
        id: "10.5",
        title: "sent before payment confirmed",
    },
    Failure {
        id: "10.6",
        title: "lost by a transient network failure",
    },
    Failure {
        id: "11.1",
        title: "ingestion lag",
    },
    Failure {
        id: "11.2",
        title: "out-of-order events",
    },
    Failure {
        id: "11.3",
        title: "duplicate events",
    },
    Failure {
        id: "11.4",
        title: "schema mismatch",
    },
    Failure {
        id: "11.5",
        title: "data-lake write failure",
    },
    Failure {
        id: "11.6",
        title: "batch job failure",
    },
    Failure {
        id: "11.7",
        title: "partial ingestion -> wrong dashboard",
    },
    Failure {
        id: "12.1",
        title: "race updating stock",
    },
    Failure {
        id: "12.2",
        title: "double decrement from duplicates",
    },
    Failure {
        id: "12.3",
        title: "stock not updated because of a crash",
    },
    Failure {
        id: "12.4",
        title: "replay -> negative stock",
    },
    Failure {
        id: "12.5",
        title: "database deadlock",
    },
    Failure {
        id: "12.6",
        title: "cache invalidation failure",
    },
    Failure {
        id: "13.1",
        title: "node failure",
    },
    Failure {
        id: "13.2",
        title: "eviction",
    },
    Failure {
        id: "13.3",
        title: "probes misconfigured",
    },
    Failure {
        id: "13.4",
        title: "autoscaler misfire",
    },
    Failure {
        id: "13.5",
        title: "network partition",
    },
    Failure {
        id: "13.6",
        title: "DNS propagation delay",
    },
    Failure {
        id: "13.7",
        title: "certificate expired",
    },
    Failure {
        id: "13.8",
        title: "region outage",
    },
    Failure {
        id: "13.9",
        title: "secret or key rotation misconfigured",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_its_own_id_and_a_layer() {
        for (index, one) in FAILURES.iter().enumerate() {
            assert!(!one.layer().is_empty(), "{}", one.id);
            assert!(
                FAILURES[..index].iter().all(|other| other.id != one.id),
                "{}",
                one.id
            );
        }
        assert_eq!(
            failure("6.5").map(|one| one.title),
            Some("charged, but the answer is lost")
        );
        assert_eq!(
            failure("6.5").map(Failure::layer),
            Some("Payment service -> external payment provider")
        );
    }
}
