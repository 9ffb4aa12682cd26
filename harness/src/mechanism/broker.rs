//! The embedded broker of the local testbed, stopped and started from the inside.

use std::{collections::BTreeSet, sync::Arc};

use super::MechanismError;
use crate::testbed::KafkaAccess;

/// The embedded broker behind an access.
#[derive(Clone)]
pub struct EmbeddedBroker {
    broker: Arc<kafka_broker::Broker>,
}

impl EmbeddedBroker {
    /// The embedded broker, where there is one.
    ///
    /// # Errors
    /// The broker of this testbed is a real one.
    pub fn of(access: &KafkaAccess) -> Result<Self, MechanismError> {
        match &access.embedded {
            Some(broker) => Ok(Self {
                broker: Arc::clone(broker),
            }),
            None => Err(MechanismError::Missing {
                what: "a broker that can be stopped from the inside".to_owned(),
                remedy: "drill this on the local testbed".to_owned(),
            }),
        }
    }

    /// Names of the listeners at the given addresses, `127.0.0.1:4711`.
    #[must_use]
    pub fn listeners_at(&self, addresses: &BTreeSet<String>) -> Vec<String> {
        let listeners = self.broker.listeners();
        let meant = listeners
            .iter()
            .filter(|listener| addresses.contains(&listener.address().to_string()));
        meant.map(|listener| listener.name().to_owned()).collect()
    }

    /// Closes a listener and its connections. What was stored stays.
    ///
    /// # Errors
    /// There is no such listener.
    pub async fn take_down(&self, listener: &str) -> Result<(), MechanismError> {
        self.set_down(listener, true, "taking down").await
    }

    /// Lets a listener accept connections again, on the same port.
    ///
    /// # Errors
    /// There is no such listener, or its port is taken.
    pub async fn bring_up(&self, listener: &str) -> Result<(), MechanismError> {
        self.set_down(listener, false, "bringing up").await
    }

    async fn set_down(
        &self,
        listener: &str,
        down: bool,
        doing: &str,
    ) -> Result<(), MechanismError> {
        let done = self.broker.set_down(Some(listener), down).await;
        done.map_err(|error| {
            MechanismError::failed(format!("{doing} the broker's listener {listener}"), error)
        })
    }
}
