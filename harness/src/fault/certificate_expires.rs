//! `certificate_expires`: a server's certificate expires while it serves, and a renewed one lies ready in time.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cause, LinkName, Mistake, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    on_certificates::{Handshakes, Servers},
    processes::{Fallen, READY_WITHIN},
};
use crate::{
    mechanism::tls,
    testbed::{
        Signal,
        certificate::{Expiry, Issued, Terms},
    },
};

/// The longest life that a certificate can be given here, in seconds: a drill waits for its end.
const LONGEST_LIFE_S: u32 = 60;
/// A renewed certificate that is not shown within this time after the drill has hurt enough is not taken up at all.
const RENEWED_WITHIN: Duration = Duration::from_secs(1);

/// The server of a link starts with a certificate that expires soon, and a renewed one is put into its place at once; when the old one has expired, connections of the link are cut once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateExpires {
    /// The link, `client -> server`.
    pub link: LinkName,
    /// How long the certificate is good from when it is issued, in seconds; the start of the server is in that time.
    #[schemars(range(min = 1, max = LONGEST_LIFE_S))]
    pub after_s: u32,
}

impl FaultKind for CertificateExpires {
    const NAME: &'static str = "certificate_expires";
    const EXAMPLE: &'static str =
        r#"When the fault "gateway-certificate-expires" is injected until it was felt 1 time"#;
    const WITNESSES: &'static [Witness] = &[Witness::HandshakesFinished];

    fn target(&self) -> String {
        self.link.to_string()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("link", Named::Link(&self.link))]
    }

    fn mistakes(&self) -> Vec<Mistake> {
        if (1..=LONGEST_LIFE_S).contains(&self.after_s) {
            return Vec::new();
        }
        vec![Mistake::new(
            "after_s",
            "the drill could not wait until this certificate expires",
            format!("write a number from 1 to {LONGEST_LIFE_S}"),
        )]
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let servers = Servers::of(&scene, &self.link).await?;
        let instances = servers.instances.iter().map(|(name, _)| name.clone());
        let fallen = Fallen::nobody(Arc::clone(&scene.pipeline), instances.collect());
        let life = Duration::from_secs(self.after_s.into());
        match expire(&servers, &fallen, life).await {
            Ok((handshakes, renewed)) => Ok(Box::new(Expired {
                servers,
                fallen,
                handshakes,
                renewed,
            })),
            Err(failure) => {
                let failure = servers.take_back(Terms::default(), failure).await;
                match fallen.revive_all().await {
                    Ok(_) => Err(failure),
                    Err(also) => Err(Cause::Several(vec![failure, also])),
                }
            }
        }
    }
}

/// Lets the servers start with a certificate that expires, renews it, and returns when it has expired.
async fn expire(
    servers: &Servers,
    fallen: &Fallen,
    life: Duration,
) -> Result<(Handshakes, Issued), Cause> {
    let short = Terms {
        expiry: Expiry::After(life),
        ..Terms::default()
    };
    let expiring = servers.give(short).await?;
    // Whether or not it would take it up: this is what it has had since it was started.
    restart(fallen).await?;
    for (_, address) in &servers.instances {
        tls::wait_until_shown(*address, &expiring.der, READY_WITHIN).await?;
    }
    let renewed = servers.give(Terms::default()).await?;
    let left = expiring.expires_at.duration_since(SystemTime::now());
    tokio::time::sleep(left.unwrap_or_default()).await;
    Ok((servers.cut().await?, renewed))
}

async fn restart(fallen: &Fallen) -> Result<(), Cause> {
    for instance in fallen.alive() {
        fallen.fell(&instance, Signal::Terminate).await?;
    }
    fallen.revive_all().await.map(drop)
}

/// A certificate that has expired under a server that had another one to show.
struct Expired {
    servers: Servers,
    fallen: Arc<Fallen>,
    handshakes: Handshakes,
    renewed: Issued,
}

impl InForce for Expired {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(self.handshakes.count(Witness::HandshakesFinished))
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(async {
            let mut restored = Vec::new();
            for (instance, address) in &self.servers.instances {
                let renewed = &self.renewed.der;
                let shown = tls::wait_until_shown(*address, renewed, RENEWED_WITHIN).await;
                if shown.is_ok() {
                    restored.push(format!("{instance} shows its renewed certificate"));
                    continue;
                }
                // That it did not take it up has been felt; the drill goes on with a server that serves.
                self.fallen.fell(instance, Signal::Terminate).await?;
                self.fallen.revive(instance).await?;
                tls::wait_until_shown(*address, renewed, READY_WITHIN).await?;
                restored.push(format!(
                    "{instance} shows its renewed certificate, after it was started again"
                ));
            }
            Ok(restored)
        })
    }
}
