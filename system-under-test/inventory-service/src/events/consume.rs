//! Order events: read strictly, processed once, answered every time.

use contracts::{OrderEventBody, topic};
use prometheus_client::metrics::counter::Counter;
use service_kit::database::SqlState;
use service_kit::defences::Defences;
use service_kit::fail_point;
use service_kit::kafka::{Consumption, Failure, Producer, Received, Work};
use service_kit::metrics::Metrics;

use super::publish;
use crate::defences::Defence;
use crate::store::{Store, StoreError};

/// What is consumed, and how.
pub fn consumption(defences: &Defences<Defence>) -> Consumption {
    Consumption {
        group: crate::NAME,
        topics: &[topic::ORDER_EVENTS],
        commit_after_work: defences.on(Defence::CommitAfterWork),
        poll_while_working: true,
        dead_letters: true,
        before_commit: Some("inventory.after-work-before-commit"),
    }
}

/// The work on order events.
pub struct Orders {
    store: Store,
    producer: Producer,
    answered: Counter,
}

impl Orders {
    /// Takes stock from a store and answers through a producer.
    pub fn new(store: Store, producer: Producer, metrics: &Metrics) -> Self {
        let answered = metrics.counter(
            "inventory_answers",
            "Answers published, repeated ones counted",
        );
        Self {
            store,
            producer,
            answered,
        }
    }
}

impl Work for Orders {
    async fn process(&self, message: &Received) -> Result<(), Failure> {
        let event = contracts::read::<OrderEventBody>(&message.payload)
            .map_err(|error| Failure::Unprocessable(error.to_string()))?;
        let Some(answer) = self
            .store
            .process(&event)
            .await
            .map_err(|error| failure(&error))?
        else {
            return Ok(());
        };
        fail_point::pass("inventory.after-commit-before-publish")
            .await
            .map_err(|injected| Failure::Unavailable(injected.to_string()))?;
        publish::answer(&self.producer, event.order_id, &answer).await?;
        self.answered.inc();
        Ok(())
    }
}

fn failure(error: &StoreError) -> Failure {
    match error {
        StoreError::Lines(_) | StoreError::GivenUp(_) => Failure::Unprocessable(error.to_string()),
        StoreError::Message(_) => Failure::Failed(error.to_string()),
        StoreError::Injected(_) => Failure::Unavailable(error.to_string()),
        StoreError::Database(cause) => {
            let state = cause.sql_state();
            // Classes 22 and 23 are data that the database will never take.
            let blames_the_message =
                state.is_some_and(|state| state.starts_with("22") || state.starts_with("23"));
            let reason = cause.to_string();
            if blames_the_message {
                Failure::Failed(reason)
            } else {
                Failure::Unavailable(reason)
            }
        }
    }
}
