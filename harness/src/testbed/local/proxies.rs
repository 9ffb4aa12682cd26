//! A fault proxy on every link of a drill, and the broker behind those that speak Kafka.
//!
//! Every client instance has a listener of its own at the broker, which advertises the address of that client's proxy:
//! whatever a Kafka client learns from the broker leads it back through its own link. The harness has a listener too,
//! with nothing in front.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use faultproxy::{FaultProxy, ProxyConfig};
use futures::future::{join_all, try_join_all};
use kafka_broker::{Address, Broker, BrokerConfig};

use super::{
    links::LinkPlan,
    ports::{Port, Ports},
};
use crate::{
    testbed::TestbedError,
    topology::{Component, Protocol},
};

/// The name of the broker's listener that the harness uses.
const HARNESS_LISTENER: &str = "harness";

/// The proxies of a drill.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    links: Vec<(LinkPlan, Arc<FaultProxy>)>,
    _ports: Vec<Port>,
}

/// The broker of a drill.
#[derive(Debug)]
pub(super) struct DrillBroker {
    pub(super) broker: Arc<Broker>,
    pub(super) address: SocketAddr,
    ports: Vec<Port>,
}

/// A link, the port of its proxy, and what lies behind it.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) plan: LinkPlan,
    pub(super) port: Port,
    pub(super) upstream: SocketAddr,
}

impl DrillBroker {
    /// A broker with the component's topics, and the harness's listener.
    pub(super) async fn start(
        component: &Component,
        prefix: &str,
        ports: &Ports,
    ) -> Result<Self, TestbedError> {
        let broker = Broker::new(BrokerConfig::default());
        for (name, topic) in &component.topics {
            let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
            broker
                .create_topic(&format!("{prefix}{name}"), partitions)
                .map_err(|error| failed(&error))?;
        }
        let port = ports.reserve()?;
        let address = port.address();
        broker
            .listen_on(HARNESS_LISTENER, address, None)
            .await
            .map_err(|error| failed(&error))?;
        Ok(Self {
            broker: Arc::new(broker),
            address,
            ports: vec![port],
        })
    }

    /// A listener for one client, whose proxy will be at `proxy`.
    pub(super) async fn listen_for(
        &mut self,
        plan: &LinkPlan,
        proxy: SocketAddr,
        ports: &Ports,
    ) -> Result<SocketAddr, TestbedError> {
        let port = ports.reserve()?;
        let address = port.address();
        let listening = self
            .broker
            .listen_on(&plan.name, address, Some(Address::from(proxy)))
            .await;
        listening.map_err(|error| failed(&error))?;
        self.ports.push(port);
        Ok(address)
    }
}

impl Proxies {
    /// Starts a proxy on every link. When this returns they accept connections.
    pub(super) async fn start(wires: Vec<Wire>, seed: u64) -> Result<Self, TestbedError> {
        let starting = wires
            .into_iter()
            .enumerate()
            .map(|(place, wire)| async move {
                let config = ProxyConfig {
                    listen: wire.port.address(),
                    // Proxies with the same seed would draw the same lots.
                    seed: seed.wrapping_add(place as u64),
                    ..ProxyConfig::new(&wire.plan.name, wire.upstream.to_string())
                };
                let proxy =
                    FaultProxy::start(config)
                        .await
                        .map_err(|error| TestbedError::Failed {
                            doing: format!("starting the proxy of {}", wire.plan.name),
                            reason: error.to_string(),
                        })?;
                Ok(((wire.plan, proxy), wire.port))
            });
        let (links, ports) = try_join_all(starting).await?.into_iter().unzip();
        Ok(Self {
            links,
            _ports: ports,
        })
    }

    /// The plans of all links.
    pub(super) fn plans(&self) -> impl Iterator<Item = &LinkPlan> {
        self.links.iter().map(|(plan, _)| plan)
    }

    /// Base URL of the API that controls them.
    pub(super) fn api_url(&self) -> String {
        String::new()
    }

    /// Ends all of them: no task and no socket is left.
    pub(super) async fn stop(&self) {
        join_all(self.links.iter().map(|(_, proxy)| proxy.shutdown())).await;
    }
}

/// Where the server of each link listens, by instance and port; brokers are asked for a listener instead.
pub(super) async fn wire(
    plans: Vec<LinkPlan>,
    servers: &BTreeMap<(String, String), SocketAddr>,
    broker: &mut Option<DrillBroker>,
    ports: &Ports,
) -> Result<Vec<Wire>, TestbedError> {
    let mut wires = Vec::with_capacity(plans.len());
    for plan in plans {
        let port = ports.reserve()?;
        let known = servers
            .get(&(plan.server.clone(), plan.reference.port.clone()))
            .copied();
        let upstream = match (known, broker.as_mut()) {
            (Some(address), _) => address,
            (None, Some(broker)) if plan.protocol == Protocol::Kafka => {
                broker.listen_for(&plan, port.address(), ports).await?
            }
            (None, _) => {
                return Err(TestbedError::Failed {
                    doing: format!("wiring the link {}", plan.name),
                    reason: format!("{} has no port {}", plan.server, plan.reference.port),
                });
            }
        };
        wires.push(Wire {
            plan,
            port,
            upstream,
        });
    }
    Ok(wires)
}

fn failed(error: &dyn std::error::Error) -> TestbedError {
    TestbedError::Failed {
        doing: "starting the embedded broker".to_owned(),
        reason: error.to_string(),
    }
}
