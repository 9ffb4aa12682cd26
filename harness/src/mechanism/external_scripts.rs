//! Scripts of the external world: what a party that the company does not own does to its callers, and its ledger.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::{
    MechanismError,
    http::{Api, segment},
};

/// The control API of one instance of the external world.
#[derive(Debug, Clone)]
pub struct ExternalWorld {
    api: Api,
}

/// A script in force, as the external world tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct ScriptState {
    /// Requests that the script acted on.
    pub acted: u64,
    /// What it was told to do.
    #[serde(flatten)]
    pub told: BTreeMap<String, Value>,
}

/// What is booked there.
#[derive(Debug, Clone, Deserialize)]
pub struct Ledger {
    /// The charges, each with its `charge_id`.
    pub charges: Vec<Booking>,
}

/// One charge of a [`Ledger`].
#[derive(Debug, Clone, Deserialize)]
pub struct Booking {
    /// Its id.
    pub charge_id: String,
}

impl ExternalWorld {
    /// The external world whose `http` port is at `address`.
    #[must_use]
    pub fn at(address: std::net::SocketAddr) -> Self {
        Self {
            api: Api::at(format!("http://{address}")),
        }
    }

    /// Puts a script in force under a name and reads back that it is.
    ///
    /// # Errors
    /// The external world does not answer, refuses, or does not do as it was told.
    pub async fn put(&self, name: &str, script: &Value) -> Result<(), MechanismError> {
        let doing = format!("putting the script {name} in force");
        let path = format!("/control/scripts/{}", segment(name));
        self.api
            .ask(&doing, Method::PUT, &path, Some(script))
            .await?
            .accepted()?;
        let answer = self
            .api
            .ask(&doing, Method::GET, "/control/scripts", None)
            .await?
            .accepted()?;
        let scripts: BTreeMap<String, ScriptState> = answer.read()?;
        match scripts.get(name) {
            Some(state) if state.told.get("behaviour") == script.get("behaviour") => Ok(()),
            _ => Err(answer.not_in_force()),
        }
    }

    /// Takes a script back; one that is not in force is no error.
    ///
    /// # Errors
    /// The external world does not answer or refuses.
    pub async fn remove(&self, name: &str) -> Result<(), MechanismError> {
        let answer = self
            .api
            .ask(
                &format!("taking the script {name} back"),
                Method::DELETE,
                &format!("/control/scripts/{}", segment(name)),
                None,
            )
            .await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        answer.accepted().map(drop)
    }

    /// How many requests a script acted on; none when it is not in force.
    ///
    /// # Errors
    /// The external world does not answer.
    pub async fn acted(&self, name: &str) -> Result<Option<u64>, MechanismError> {
        let scripts: BTreeMap<String, ScriptState> = self
            .api
            .ask("reading the scripts", Method::GET, "/control/scripts", None)
            .await?
            .accepted()?
            .read()?;
        Ok(scripts.get(name).map(|state| state.acted))
    }

    /// What is booked.
    ///
    /// # Errors
    /// The external world does not answer.
    pub async fn ledger(&self) -> Result<Ledger, MechanismError> {
        self.api
            .ask("reading the ledger", Method::GET, "/control/ledger", None)
            .await?
            .accepted()?
            .read()
    }
}
