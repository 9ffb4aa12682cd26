//! Names instead of addresses: one name server for each client that asks where others are.
//!
//! A client's server knows the instances on its own links only, so that what one client is told spares all others. The
//! names are like those of a cluster: the instance, then its component.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use futures::future::join_all;
use local_name_server::{NameServer, ServerIdentity};

use super::{
    links::{self, Cast, LinkPlan},
    ports::{Port, Ports},
};
use crate::{
    testbed::{LinkSelector, ServerName, TestbedError},
    topology::{CUSTOMERS, Topology},
};

/// The zone of all names; `.test` is nobody's (RFC 6761).
const ZONE: &str = "firedrill.test";
/// How long an answer may be kept: short, so that drills see within seconds who keeps it longer.
const TIME_TO_LIVE: Duration = Duration::from_secs(1);

/// The name of an instance.
pub(super) fn name_of(plan: &LinkPlan) -> String {
    format!("{}.{}.{ZONE}", plan.server, plan.reference.component)
}

/// `host:port` of a proxy, with a name or an address for the host.
pub(super) fn place(plan: &LinkPlan, address: SocketAddr, by_name: bool) -> String {
    match by_name {
        true => format!("{}:{}", name_of(plan), address.port()),
        false => address.to_string(),
    }
}

/// The name servers of a drill, by client.
#[derive(Debug)]
pub(super) struct Names {
    servers: BTreeMap<String, Arc<NameServer>>,
    /// Where browsers ask.
    https: Option<SocketAddr>,
    /// Stay reserved as long as they run.
    ports: Vec<Port>,
}

impl Names {
    /// Starts a name server for every client of these links that asks for names; the customers' one over HTTPS too.
    pub(super) async fn start(
        topology: &Topology,
        cast: &Cast,
        links: &[(LinkPlan, SocketAddr)],
        customers: Option<&ServerIdentity>,
        ports: &Ports,
    ) -> Result<Self, TestbedError> {
        let mut names = Self {
            servers: BTreeMap::new(),
            https: None,
            ports: Vec::new(),
        };
        let asking = topology
            .started()
            .filter(|component| topology.asks_for_names(component))
            .flat_map(|component| cast.get(&component.name).into_iter().flatten())
            .map(String::as_str)
            .chain(customers.map(|_| CUSTOMERS));
        for client in asking {
            names.add_server(client, ports).await?;
        }
        for (plan, address) in links {
            if let (Some(server), SocketAddr::V4(address)) =
                (names.servers.get(&plan.client), address)
            {
                server.place(&name_of(plan), *address.ip());
            }
        }
        if let (Some(identity), Some(server)) = (customers, names.servers.get(CUSTOMERS)) {
            let port = ports.reserve()?;
            let listening = server.listen_https(port.address(), identity).await;
            names.https = Some(listening.map_err(|error| failed(CUSTOMERS, &error))?);
            names.ports.push(port);
        }
        Ok(names)
    }

    async fn add_server(&mut self, client: &str, ports: &Ports) -> Result<(), TestbedError> {
        let port = ports.reserve()?;
        let started = NameServer::start(port.address(), TIME_TO_LIVE).await;
        let server = Arc::new(started.map_err(|error| failed(client, &error))?);
        self.ports.push(port);
        self.servers.insert(client.to_owned(), server);
        Ok(())
    }

    /// Whom a client asks.
    pub(super) fn address(&self, client: &str) -> Option<SocketAddr> {
        self.servers.get(client).map(|server| server.address())
    }

    /// Where browsers ask, over HTTPS.
    pub(super) fn https_url(&self) -> Option<String> {
        let path = local_name_server::HTTPS_PATH;
        self.https.map(|address| format!("https://{address}{path}"))
    }

    /// The names on the links that a selector means, each once.
    pub(super) fn select<'a>(
        &self,
        plans: impl IntoIterator<Item = &'a LinkPlan>,
        selector: &LinkSelector,
    ) -> Result<Vec<ServerName>, TestbedError> {
        let mut found: Vec<ServerName> = Vec::new();
        for plan in links::select(plans, selector)? {
            let name_server = self.servers.get(&plan.client);
            let name_server = name_server.ok_or_else(|| TestbedError::Failed {
                doing: format!("looking for the name of {} at {}", plan.server, plan.client),
                reason: format!(
                    "{} asks no name server: pass `{{name_server}}` and `{{named:{}}}` in its settings",
                    plan.client_component, plan.reference.component
                ),
            })?;
            let name = name_of(plan);
            if !found
                .iter()
                .any(|one| one.client == plan.client && one.name == name)
            {
                found.push(ServerName {
                    client: plan.client.clone(),
                    server: plan.server.clone(),
                    name,
                    name_server: Arc::clone(name_server),
                });
            }
        }
        Ok(found)
    }

    /// Ends all of them.
    pub(super) async fn stop(&self) {
        join_all(self.servers.values().map(|server| server.shutdown())).await;
    }
}

fn failed(client: &str, error: &dyn std::error::Error) -> TestbedError {
    TestbedError::Failed {
        doing: format!("starting the name server of {client}"),
        reason: error.to_string(),
    }
}
