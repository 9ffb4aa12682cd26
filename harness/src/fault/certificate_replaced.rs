//! `certificate_replaced`: a server shows a certificate that nobody should believe.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cause, LinkName, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    on_certificates::{Handshakes, Servers, WITNESSES},
};
use crate::testbed::certificate::{Expiry, Issuer, Owner, Terms};

/// The server of a link shows a certificate that nobody should believe, to all who connect; connections of the link are cut once, so that its clients meet it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateReplaced {
    /// The link, `client -> server`.
    pub link: LinkName,
    /// What is wrong with the certificate.
    pub certificate: Unbelievable,
}

/// Why a certificate is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unbelievable {
    /// It was good once.
    Expired,
    /// It is good for somebody else.
    WrongHost,
    /// Nobody knows the authority that answers for it.
    Untrusted,
}

impl Unbelievable {
    fn terms(self) -> Terms {
        let right = Terms::default();
        match self {
            Self::Expired => Terms {
                expiry: Expiry::Past,
                ..right
            },
            Self::WrongHost => Terms {
                owner: Owner::Another,
                ..right
            },
            Self::Untrusted => Terms {
                issuer: Issuer::Unknown,
                ..right
            },
        }
    }
}

impl FaultKind for CertificateReplaced {
    const NAME: &'static str = "certificate_replaced";
    const EXAMPLE: &'static str =
        r#"When the fault "gateway-certificate-expired" is injected until it was felt 10 times"#;
    const WITNESSES: &'static [Witness] = WITNESSES;

    fn target(&self) -> String {
        self.link.to_string()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("link", Named::Link(&self.link))]
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let servers = Servers::of(&scene, &self.link).await?;
        let shown = async {
            servers.show(self.certificate.terms()).await?;
            servers.cut().await
        };
        match shown.await {
            Ok(handshakes) => Ok(Box::new(Replaced {
                servers,
                handshakes,
                witness: scene.witness,
            })),
            Err(failure) => Err(servers.take_back(Terms::default(), failure).await),
        }
    }
}

/// A certificate that is shown in the place of the right one.
struct Replaced {
    servers: Servers,
    handshakes: Handshakes,
    witness: Witness,
}

impl InForce for Replaced {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(self.handshakes.count(self.witness))
    }

    fn trusted(&self) -> BoxFuture<'_, Result<Option<u64>, Cause>> {
        let finished = self.handshakes.count(Witness::HandshakesFinished);
        Box::pin(async { finished.await.map(Some) })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(self.servers.show_the_right_one())
    }
}
