//! Order events: checked, kept as objects of the data lake, committed afterwards.

use contracts::topic;
use prometheus_client::metrics::counter::Counter;
use service_kit::defences::Defences;
use service_kit::fail_point;
use service_kit::kafka::{BatchLimits, BatchWork, Consumption, Failure, Received, Refused};
use service_kit::metrics::Metrics;

use crate::defences::Defence;
use crate::domain::{Admission, Content, Line, ObjectName, admit, object};
use crate::lake::{Lake, Put};

/// What is consumed, and how.
pub fn consumption(defences: &Defences<Defence>) -> Consumption {
    Consumption {
        group: crate::NAME,
        topics: &[topic::ORDER_EVENTS],
        commit_after_work: defences.on(Defence::CommitAfterWork),
        poll_while_working: true,
        dead_letters: true,
        before_commit: Some("analytics.after-put-before-commit"),
    }
}

/// The work on order events.
pub struct Keeping {
    lake: Lake,
    limits: BatchLimits,
    admission: Admission,
    objects: Counter,
    repeated: Counter,
}

impl Keeping {
    /// Keeps events in a lake.
    pub fn new(
        lake: Lake,
        limits: BatchLimits,
        defences: &Defences<Defence>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            lake,
            limits,
            admission: Admission {
                schema: defences.on(Defence::SchemaCheck),
                version: defences.on(Defence::VersionTolerance),
            },
            objects: metrics.counter("lake_objects", "Objects written to the data lake"),
            repeated: metrics.counter(
                "lake_objects_repeated",
                "Objects that were in the data lake already when they were written again",
            ),
        }
    }
}

impl BatchWork for Keeping {
    fn limits(&self) -> BatchLimits {
        self.limits
    }

    async fn process(&self, batch: &[Received]) -> Result<Vec<Refused>, Failure> {
        let Some(name) = name(batch) else {
            return Ok(Vec::new());
        };
        let mut refused = Vec::new();
        let mut lines = Vec::with_capacity(batch.len());
        for (index, message) in batch.iter().enumerate() {
            let content = match admit(&message.payload, self.admission) {
                Ok(event) => Content::Event(event),
                Err(reason) => {
                    refused.push(Refused {
                        index,
                        reason: reason.clone(),
                    });
                    Content::Parked(reason)
                }
            };
            lines.push(Line {
                offset: message.offset,
                content,
            });
        }
        let text = object::write(&lines).map_err(|error| Failure::Failed(error.to_string()))?;
        fail_point::pass("analytics.before-put")
            .await
            .map_err(|injected| Failure::Unavailable(injected.to_string()))?;
        let put = self.lake.put(&name, text).await;
        match put.map_err(|error| Failure::Unavailable(error.to_string()))? {
            Put::Created => self.objects.inc(),
            Put::Existed => self.repeated.inc(),
        };
        Ok(refused)
    }
}

fn name(batch: &[Received]) -> Option<ObjectName> {
    let (first, last) = (batch.first()?, batch.last()?);
    Some(ObjectName {
        topic: first.topic.clone(),
        partition: first.partition,
        first: first.offset,
        next: last.offset + 1,
    })
}
