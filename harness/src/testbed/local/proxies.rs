//! A fault proxy on every link of a drill, and the broker behind those that speak Kafka.
//!
//! Every client instance has a listener of its own at the broker, which advertises the address of that client's proxy:
//! whatever a Kafka client learns from the broker leads it back through its own link. The harness has a listener too,
//! with nothing in front.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use faultproxy::{ApiServer, KafkaSettings, Limits, Registry, registry::Wanted};
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

/// The proxies of a drill, and the server of the API that controls them.
#[derive(Debug)]
pub(super) struct Proxies {
    links: Vec<LinkPlan>,
    registry: Arc<Registry>,
    api_url: String,
    /// None once it has been stopped.
    api: Mutex<Option<ApiServer>>,
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
    /// Starts a proxy on every link, and the API. When this returns they accept connections.
    pub(super) async fn start(
        wires: Vec<Wire>,
        seed: u64,
        ports: &Ports,
    ) -> Result<Self, TestbedError> {
        let registry = Arc::new(Registry::new(seed, Limits::default()));
        let (mut links, mut held) = (Vec::new(), Vec::new());
        for (
            place,
            Wire {
                plan,
                port,
                upstream,
            },
        ) in (0..).zip(wires)
        {
            let wanted = Wanted {
                name: plan.name.clone(),
                listen: port.address().to_string(),
                upstream: upstream.to_string(),
                enabled: Some(true),
                kafka: (plan.protocol == Protocol::Kafka).then(KafkaSettings::default),
                // Proxies with the same seed would draw the same lots.
                seed: Some(seed.wrapping_add(place)),
            };
            registry
                .create(wanted)
                .await
                .map_err(|error| TestbedError::Failed {
                    doing: format!("starting the proxy of {}", plan.name),
                    reason: error.to_string(),
                })?;
            links.push(plan);
            held.push(port);
        }
        let port = ports.reserve()?;
        let api = ApiServer::start(Arc::clone(&registry), port.address()).await;
        let api = api.map_err(|error| TestbedError::Failed {
            doing: format!("serving the proxies' API on {}", port.address()),
            reason: error.to_string(),
        })?;
        held.push(port);
        Ok(Self {
            links,
            registry,
            api_url: api.url(),
            api: Mutex::new(Some(api)),
            _ports: held,
        })
    }

    /// The plans of all links.
    pub(super) fn plans(&self) -> impl Iterator<Item = &LinkPlan> {
        self.links.iter()
    }

    /// Base URL of the API that controls them.
    pub(super) fn api_url(&self) -> String {
        self.api_url.clone()
    }

    /// Ends all of them: no task and no socket is left.
    pub(super) async fn stop(&self) {
        let api = self
            .api
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(api) = api {
            api.shutdown().await;
        }
        self.registry.shutdown().await;
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
