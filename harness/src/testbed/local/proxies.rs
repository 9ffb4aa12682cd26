//! A fault proxy on every link of a drill, and the broker behind those that speak Kafka.
//!
//! Every client instance has a listener of its own at the broker, which advertises the address of that client's proxy:
//! whatever a Kafka client learns from the broker leads it back through its own link. The harness has a listener too,
//! with nothing in front.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use faultproxy::{KafkaSettings, Limits, Registry, registry::Wanted};
use kafka_broker::{Address, Broker, BrokerConfig};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    links::LinkPlan,
    ports::{Port, Ports},
};
use crate::{
    testbed::TestbedError,
    topology::{Component, Protocol},
};

/// How long requests to the API that are under way may take to end.
const API_STOP_LIMIT: Duration = Duration::from_secs(1);
/// The name of the broker's listener that the harness uses.
const HARNESS_LISTENER: &str = "harness";

/// The proxies of a drill, and the server of the API that controls them.
#[derive(Debug)]
pub(super) struct Proxies {
    links: Vec<LinkPlan>,
    registry: Arc<Registry>,
    api: Api,
    _ports: Vec<Port>,
}

/// Toxiproxy's API, with our additions, on a loopback port.
#[derive(Debug)]
struct Api {
    port: Port,
    stop: CancellationToken,
    serving: TaskTracker,
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
        let api = Api::serve(Arc::clone(&registry), ports.reserve()?).await?;
        Ok(Self {
            links,
            registry,
            api,
            _ports: held,
        })
    }

    /// The plans of all links.
    pub(super) fn plans(&self) -> impl Iterator<Item = &LinkPlan> {
        self.links.iter()
    }

    /// Base URL of the API that controls them.
    pub(super) fn api_url(&self) -> String {
        format!("http://{}", self.api.port.address())
    }

    /// Ends all of them: no task and no socket is left.
    pub(super) async fn stop(&self) {
        self.api.stop().await;
        self.registry.shutdown().await;
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Api {
    async fn serve(registry: Arc<Registry>, port: Port) -> Result<Self, TestbedError> {
        let listener =
            TcpListener::bind(port.address())
                .await
                .map_err(|error| TestbedError::Failed {
                    doing: format!("serving the proxies' API on {}", port.address()),
                    reason: error.to_string(),
                })?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = TaskTracker::new();
        serving.spawn(async move {
            let server = axum::serve(listener, faultproxy::api::router(registry));
            let served = server
                .with_graceful_shutdown(stopped.cancelled_owned())
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the proxies' API has ended");
            }
        });
        serving.close();
        Ok(Self {
            port,
            stop,
            serving,
        })
    }

    async fn stop(&self) {
        self.stop.cancel();
        if tokio::time::timeout(API_STOP_LIMIT, self.serving.wait())
            .await
            .is_err()
        {
            tracing::warn!("a request to the proxies' API has not ended");
        }
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
