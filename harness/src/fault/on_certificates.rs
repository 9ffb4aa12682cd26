//! What the faults of certificates share: the servers of a link, what they show, and how clients answer that.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{Cause, LinkName, Witness, component_of, in_force::Scene};
use crate::{
    mechanism::{
        MechanismError, tls,
        toxiproxy::{ProxyControl, ProxyCounts},
    },
    testbed::{
        LinkProxy, Pipeline,
        certificate::{Issued, Terms},
    },
    topology::Protocol,
};

/// Servers show a certificate within this time after it was given to them, or have not taken it up.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// Those who can tell that clients met a certificate, the usual one first.
pub(crate) const WITNESSES: &[Witness] = &[Witness::HandshakesRefused, Witness::HandshakesFinished];

/// The servers of one link, of one component, that show a certificate.
pub(crate) struct Servers {
    pipeline: Arc<dyn Pipeline>,
    /// The component that serves.
    pub(crate) component: String,
    /// Each with the address behind its proxies.
    pub(crate) instances: Vec<(String, SocketAddr)>,
    proxies: Vec<ProxyControl>,
}

impl Servers {
    /// The servers of a link.
    pub(crate) async fn of(scene: &Scene, link: &LinkName) -> Result<Self, Cause> {
        let links = tls_links(scene, link)?;
        let component = component_of(&links[0].server).unwrap_or(&links[0].server);
        let mut servers = Self {
            pipeline: Arc::clone(&scene.pipeline),
            component: component.to_owned(),
            instances: Vec::new(),
            proxies: Vec::new(),
        };
        for link in &links {
            let proxy = ProxyControl::at(&link.api_url, &link.name);
            let upstream = proxy.upstream().await?;
            let address = upstream.parse().map_err(|_| {
                let doing = format!("looking for the server behind {}", link.name);
                MechanismError::failed(doing, format!("{upstream:?} is no IP address and port"))
            })?;
            let server = (link.server.clone(), address);
            if !servers.instances.contains(&server) {
                servers.instances.push(server);
            }
            servers.proxies.push(proxy);
        }
        Ok(servers)
    }

    /// Gives the component a certificate, and waits until each of its instances shows it.
    pub(crate) async fn show(&self, terms: Terms) -> Result<Issued, Cause> {
        let issued = self.give(terms).await?;
        for (_, address) in &self.instances {
            tls::wait_until_shown(*address, &issued.der, SHOWN_WITHIN).await?;
        }
        Ok(issued)
    }

    /// Gives the component a certificate, whether or not it takes it up.
    pub(crate) async fn give(&self, terms: Terms) -> Result<Issued, Cause> {
        let pipeline = &self.pipeline;
        Ok(pipeline.serve_certificate(&self.component, terms).await?)
    }

    /// Gives the component the certificate that it ought to have, waits until it is shown, and says so.
    pub(crate) async fn show_the_right_one(&self) -> Result<Vec<String>, Cause> {
        self.show(Terms::default()).await?;
        let instances = self.instances.iter();
        Ok(instances
            .map(|(name, _)| format!("{name} shows its own certificate"))
            .collect())
    }

    /// Gives the component the certificate that these terms say, after something else went wrong; nobody waits for one
    /// that may never be shown. What went wrong here is told with it.
    pub(crate) async fn take_back(&self, terms: Terms, failure: Cause) -> Cause {
        match self.give(terms).await {
            Ok(_) => failure,
            Err(also) => Cause::Several(vec![failure, also]),
        }
    }

    /// Cuts the connections of the link once, so that its clients must shake hands again, and counts how they do from
    /// then on.
    pub(crate) async fn cut(&self) -> Result<Handshakes, Cause> {
        let mut since = Vec::with_capacity(self.proxies.len());
        for proxy in &self.proxies {
            let closed = proxy.set_enabled(false).await;
            // Nobody shakes hands while it is closed: everything that is counted more comes later.
            let counted = proxy.counts().await;
            proxy.set_enabled(true).await?;
            closed?;
            since.push((proxy.clone(), counted?));
        }
        Ok(Handshakes { since })
    }
}

/// The proxies of a link over which certificates are shown; at least one.
fn tls_links(scene: &Scene, link: &LinkName) -> Result<Vec<LinkProxy>, Cause> {
    let mut links = scene.pipeline.links(&link.0)?;
    links.retain(|link| link.protocol == Protocol::Https);
    if links.is_empty() {
        return Err(Cause::NoTarget {
            target: format!("certificate on the link {link}"),
            remedy: "name a link to a port that the topology declares as https".to_owned(),
        });
    }
    Ok(links)
}

/// How clients of a link have ended their TLS handshakes since a moment.
pub(crate) struct Handshakes {
    since: Vec<(ProxyControl, ProxyCounts)>,
}

impl Handshakes {
    /// How many of them, as the witness has it.
    pub(crate) async fn count(&self, witness: Witness) -> Result<u64, Cause> {
        let reading = |counts: &ProxyCounts| match witness {
            Witness::HandshakesFinished => counts.handshakes_finished,
            _ => counts.handshakes_refused,
        };
        let mut sum = 0;
        for (proxy, before) in &self.since {
            let now = proxy.counts().await?;
            sum += reading(&now).saturating_sub(reading(before));
        }
        Ok(sum)
    }
}
