//! `signing_key_rotated`: the identity provider signs with another key from now on.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cause, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
};
use crate::mechanism::signing_keys::SigningKeys;

/// The identity provider signs with a new key from now on; those who check tokens are not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningKeyRotated {
    /// The identity provider, `identity-provider`.
    pub component: String,
    /// How long the old key stays published, in seconds; tokens signed with it are good for so long.
    pub keep_old_s: u32,
}

impl FaultKind for SigningKeyRotated {
    const NAME: &'static str = "signing_key_rotated";
    const EXAMPLE: &'static str =
        r#"When the fault "signing-key-rotated" is injected until it was felt 20 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::TokensUnderNewKey];

    fn target(&self) -> String {
        self.component.clone()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("component", Named::Component(&self.component))]
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        // Instances of one provider share their keys, so one of them is told.
        let instances = scene.pipeline.instances(&self.component);
        let address = instances
            .first()
            .and_then(|instance| scene.pipeline.address(instance, "http"))
            .ok_or_else(|| Cause::NoTarget {
                target: format!("control port `http` of {}", self.component),
                remedy: "name an identity provider of the external world".to_owned(),
            })?;
        let keys = SigningKeys::at(address);
        let kid = keys.rotate(self.keep_old_s).await?;
        Ok(Box::new(Rotated { keys, kid }))
    }
}

/// A key that signs instead of another.
struct Rotated {
    keys: SigningKeys,
    kid: String,
}

impl InForce for Rotated {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async { Ok(self.keys.issued(&self.kid).await?) })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        // Rotating a key is what providers do: there is nothing to take back, others have to follow.
        Box::pin(async { Ok(vec![format!("the key {} goes on signing", self.kid)]) })
    }
}
