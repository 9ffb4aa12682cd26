//! `authority_replaced`: a server moves to a certificate of another authority, of which its clients learn later.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cause, LinkName, Named, Witness, component_of,
    in_force::{InForce, Scene},
    kind::FaultKind,
    on_certificates::{Handshakes, Servers, WITNESSES},
};
use crate::testbed::{
    Pipeline,
    certificate::{Authority, Issuer, Terms},
};

/// The server of a link moves to a certificate of another authority, and connections of the link are cut once; when the fault heals, its clients are told to trust the new authority and the old one no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorityReplaced {
    /// The link, `client -> server`.
    pub link: LinkName,
}

impl FaultKind for AuthorityReplaced {
    const NAME: &'static str = "authority_replaced";
    const EXAMPLE: &'static str = r#"When the fault "provider-moves-to-another-authority" is injected until it was felt 10 times"#;
    const WITNESSES: &'static [Witness] = WITNESSES;

    fn target(&self) -> String {
        self.link.to_string()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("link", Named::Link(&self.link))]
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let servers = Servers::of(&scene, &self.link).await?;
        let client = &self.link.0.client;
        let client = component_of(client).unwrap_or(client).to_owned();
        // Who cannot be told must not be left behind: that is found out before anything is changed.
        let old = [Authority::First];
        scene.pipeline.trust(&client, &old).await?;
        let terms = Terms {
            issuer: Issuer::Authority(Authority::Second),
            ..Terms::default()
        };
        let moved = async {
            servers.show(terms).await?;
            servers.cut().await
        };
        match moved.await {
            Ok(handshakes) => Ok(Box::new(Moved {
                pipeline: Arc::clone(&scene.pipeline),
                server: servers.component,
                client,
                handshakes,
                witness: scene.witness,
            })),
            Err(failure) => {
                // Nobody has moved: the authority that it went to last is the old one again.
                let back = Terms {
                    issuer: Issuer::Authority(Authority::First),
                    ..Terms::default()
                };
                Err(servers.take_back(back, failure).await)
            }
        }
    }
}

/// A server that shows a certificate of which its clients do not know yet who answers for it.
struct Moved {
    pipeline: Arc<dyn Pipeline>,
    server: String,
    client: String,
    handshakes: Handshakes,
    witness: Witness,
}

impl InForce for Moved {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(self.handshakes.count(self.witness))
    }

    fn trusted(&self) -> BoxFuture<'_, Result<Option<u64>, Cause>> {
        let finished = self.handshakes.count(Witness::HandshakesFinished);
        Box::pin(async { finished.await.map(Some) })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        // Moving on is what servers do: there is nothing to take back, others have to follow.
        Box::pin(async {
            let new = [Authority::Second];
            self.pipeline.trust(&self.client, &new).await?;
            Ok(vec![format!(
                "{} is told who answers for {} now",
                self.client, self.server
            )])
        })
    }
}
