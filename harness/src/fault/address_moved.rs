//! `address_moved`: a server has moved, and its name still leads to where it was.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use futures::future::BoxFuture;
use local_name_server::Answer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cause, LinkName, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    on_links::proxies,
};
use crate::testbed::ServerName;

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
        let mut moved = Moved { names: Vec::new() };
        for name in names {
            let old = name.name_server.address_of(&name.name);
            let new = old.and_then(next_address).ok_or_else(|| Cause::NoTarget {
                target: format!("address of {} to move from", name.name),
                remedy: "let it move less often".to_owned(),
            })?;
            moved.names.push(MovedName {
                before: name.name_server.asked(&name.name).times(Answer::Address),
                name,
                new,
            });
        }
        for proxy in proxies(scene.pipeline.as_ref(), &self.link)? {
            let at = proxy.listen().await?;
            let new = match at.ip() {
                IpAddr::V4(address) => next_address(address),
                IpAddr::V6(_) => None,
            };
            let new = new.ok_or_else(|| Cause::NoTarget {
                target: format!("address beside {at} for {}", proxy.name()),
                remedy: "let the link's proxies listen on the loopback range 127.0.0.0/8"
                    .to_owned(),
            })?;
            proxy
                .listen_at(SocketAddr::new(new.into(), at.port()))
                .await?;
        }
        Ok(Box::new(moved))
    }
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
}

impl InForce for Moved {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        let counts = self.names.iter().map(|moved| {
            let asked = moved.name.name_server.asked(&moved.name.name);
            asked.times(Answer::Address).saturating_sub(moved.before)
        });
        let sum = counts.sum();
        Box::pin(async move { Ok(sum) })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        let restored = self.names.iter().map(|moved| {
            let MovedName { name, new, .. } = moved;
            name.name_server.place(&name.name, *new);
            format!("{} is told that {} is at {new}", name.client, name.server)
        });
        let restored = restored.collect();
        Box::pin(async move { Ok(restored) })
    }
}
