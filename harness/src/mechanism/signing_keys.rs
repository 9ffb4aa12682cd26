//! The signing keys of an identity provider of the external world.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{MechanismError, http::Api};

/// The control API of one identity provider.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    api: Api,
}

/// One key, as the provider tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SigningKeyState {
    /// Its name.
    pub kid: String,
    /// Whether it signs.
    pub signs: bool,
    /// Whether the published key set has it.
    pub published: bool,
    /// Tokens that customers got under it.
    pub tokens_issued: u64,
}

#[derive(Deserialize)]
struct Rotated {
    kid: String,
}

impl SigningKeys {
    /// The identity provider whose `http` port is at `address`.
    #[must_use]
    pub fn at(address: std::net::SocketAddr) -> Self {
        Self {
            api: Api::at(format!("http://{address}")),
        }
    }

    /// Lets a new key sign and returns its name, after reading back that it does; the old one stays published for
    /// `keep_old_s` seconds.
    ///
    /// # Errors
    /// The provider does not answer, refuses, or does not do as it was told.
    pub async fn rotate(&self, keep_old_s: u32) -> Result<String, MechanismError> {
        let doing = "rotating the signing key";
        let body = json!({ "keep_old_s": keep_old_s });
        let answer = self
            .api
            .ask(doing, Method::POST, "/control/keys/rotate", Some(&body))
            .await?
            .accepted()?;
        if answer.status != StatusCode::CREATED {
            return Err(answer.not_in_force());
        }
        let Rotated { kid } = answer.read()?;
        match self.all().await?.last() {
            Some(newest) if newest.kid == kid && newest.signs => Ok(kid),
            _ => Err(answer.not_in_force()),
        }
    }

    /// How many tokens customers got under a key.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn issued(&self, kid: &str) -> Result<u64, MechanismError> {
        let keys = self.all().await?;
        let key = keys.iter().find(|key| key.kid == kid);
        Ok(key.map_or(0, |key| key.tokens_issued))
    }

    /// Every key there ever was, the oldest first.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn all(&self) -> Result<Vec<SigningKeyState>, MechanismError> {
        self.api
            .ask(
                "reading the signing keys",
                Method::GET,
                "/control/keys",
                None,
            )
            .await?
            .accepted()?
            .read()
    }
}
