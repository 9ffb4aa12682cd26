//! `address_moved`: a server has moved, and its name still leads to where it was.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use futures::future::BoxFuture;
use local_name_server::Answer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use super::{
    Cause, LinkName, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    on_links::proxies,
};
use crate::{mechanism::toxiproxy::ProxyControl, testbed::ServerName};

/// The servers of a link move to another address; until it heals, DNS tells the link's clients the old one.
///
/// Healing lets DNS tell the new address. The servers stay where they have moved to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressMoved {
    /// The link, `client -> server`.
    pub link: LinkName,
}

impl FaultKind for AddressMoved {
    const NAME: &'static str = "address_moved";
    const EXAMPLE: &'static str =
        r#"When the fault "order-service-moved" is injected until it was felt 3 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::MisleadingAnswers];

    fn target(&self) -> String {
        self.link.to_string()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("link", Named::Link(&self.link))]
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let names = scene.pipeline.names(&self.link.0)?;
        let new_places = names.iter().map(place_to_move_to);
        let new_places = new_places.collect::<Result<Vec<_>, _>>()?;
        let proxies = proxies(scene.pipeline.as_ref(), &self.link)?;
        let left = move_all(proxies).await?;
        // Whoever asked before this was told the truth.
        let names = names.into_iter().zip(new_places).map(|(name, new)| {
            let before = name.name_server.asked(&name.name).times(Answer::Address);
            MovedName { name, new, before }
        });
        Ok(Box::new(Moved {
            names: names.collect(),
            left: left.into_iter().map(|(_, old)| old).collect(),
        }))
    }
}

/// Where the server of a name will be.
fn place_to_move_to(name: &ServerName) -> Result<Ipv4Addr, Cause> {
    let old = name.name_server.address_of(&name.name);
    old.and_then(next_address).ok_or_else(|| Cause::NoTarget {
        target: format!("address of {} to move from", name.name),
        remedy: "let it move less often".to_owned(),
    })
}

/// Lets all proxies listen elsewhere, or none; each with where it was.
async fn move_all(proxies: Vec<ProxyControl>) -> Result<Vec<(ProxyControl, SocketAddr)>, Cause> {
    let mut moved: Vec<(ProxyControl, SocketAddr)> = Vec::with_capacity(proxies.len());
    for proxy in proxies {
        match move_one(&proxy).await {
            Ok(old) => moved.push((proxy, old)),
            Err(failure) => {
                // A proxy that could not move is closed where it was.
                let mut failures = vec![failure];
                failures.extend(proxy.set_enabled(true).await.err().map(Cause::from));
                for (proxy, old) in &moved {
                    failures.extend(proxy.listen_at(*old).await.err().map(Cause::from));
                }
                Cause::of_all(failures)?;
            }
        }
    }
    Ok(moved)
}

/// Lets a proxy listen at the next address; returns where it was.
async fn move_one(proxy: &ProxyControl) -> Result<SocketAddr, Cause> {
    let old = proxy.listen().await?;
    let new = match old.ip() {
        IpAddr::V4(address) => next_address(address),
        IpAddr::V6(_) => None,
    };
    let new = new.ok_or_else(|| Cause::NoTarget {
        target: format!("address beside {old} for {}", proxy.name()),
        remedy: "let the link's proxies listen on the loopback range 127.0.0.0/8".to_owned(),
    })?;
    proxy
        .listen_at(SocketAddr::new(new.into(), old.port()))
        .await?;
    Ok(old)
}

/// The address after this one in the loopback range, all of which is this machine.
fn next_address(address: Ipv4Addr) -> Option<Ipv4Addr> {
    let next = Ipv4Addr::from_bits(address.to_bits().checked_add(1)?);
    (address.is_loopback() && next.is_loopback()).then_some(next)
}

/// A name whose server is elsewhere.
struct MovedName {
    name: ServerName,
    new: Ipv4Addr,
    /// How often its address had been told before.
    before: u64,
}

struct Moved {
    names: Vec<MovedName>,
    /// Where the servers were.
    left: Vec<SocketAddr>,
}

impl Moved {
    /// Whether nobody accepts connections any more where a server was: only then does an old address mislead.
    async fn all_have_left(&self) -> bool {
        for old in &self.left {
            if TcpStream::connect(old).await.is_ok() {
                return false;
            }
        }
        true
    }
}

impl InForce for Moved {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async {
            if !self.all_have_left().await {
                return Ok(0);
            }
            let counts = self.names.iter().map(|moved| {
                let asked = moved.name.name_server.asked(&moved.name.name);
                asked.times(Answer::Address).saturating_sub(moved.before)
            });
            Ok(counts.sum())
        })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        // From here on the answers are true: they count no more.
        let told = std::mem::take(&mut self.names).into_iter().map(|moved| {
            let MovedName { name, new, .. } = moved;
            name.name_server.place(&name.name, new);
            format!("{} is told that {} is at {new}", name.client, name.server)
        });
        let restored = told.collect();
        Box::pin(async move { Ok(restored) })
    }
}
