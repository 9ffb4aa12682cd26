//! What the start of a pipeline is made of: ports, addresses, programs.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc};

use local_name_server::ServerIdentity;

use super::{
    certificates::Certificates,
    expand::Meaning,
    infrastructure::Infrastructure,
    instance::{self, Probe},
    links::{Cast, LinkPlan},
    names,
    object_store::DrillObjectStore,
    ports::Port,
    processes::{DeathSignal, Launch},
};
use crate::{
    testbed::TestbedError,
    topology::{CUSTOMERS, Component, PortReference, Program, Protocol, Provided, Topology},
};

/// The drill's own authorities, and a certificate for every component that is started and for whom customers ask.
pub(super) async fn make_certificates(
    infrastructure: &Infrastructure,
    drill: &str,
) -> Result<Arc<Certificates>, TestbedError> {
    let run = infrastructure.run.path().to_owned();
    let drill = drill.to_owned();
    let started = infrastructure.topology.started();
    let components: Vec<String> = started
        .map(|component| component.name.clone())
        .chain([CUSTOMERS.to_owned()])
        .collect();
    let making = move || {
        Certificates::make(&run, &drill, components.iter().map(String::as_str)).map(Arc::new)
    };
    in_background("making certificates", making).await
}

/// Does what waits for the disk where that keeps nobody waiting.
pub(super) async fn in_background<T: Send + 'static>(
    doing: &str,
    work: impl FnOnce() -> Result<T, TestbedError> + Send + 'static,
) -> Result<T, TestbedError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(TestbedError::Failed {
            doing: doing.to_owned(),
            reason: error.to_string(),
        })
    })
}

/// Asks probes only: no proxy of the environment, no authority but the drill's own.
pub(super) fn probe_client(certificates: &Certificates) -> Result<reqwest::Client, TestbedError> {
    let failed = |error: reqwest::Error| TestbedError::Failed {
        doing: "making the client that asks for readiness".to_owned(),
        reason: error.to_string(),
    };
    let authority =
        reqwest::Certificate::from_pem(certificates.authority_pem().as_bytes()).map_err(failed)?;
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .pool_max_idle_per_host(0)
        .build()
        .map_err(failed)
}

pub(super) type OwnPorts = BTreeMap<String, BTreeMap<String, Port>>;

/// A port for every port of every started instance.
pub(super) fn reserve_own_ports(
    infrastructure: &Infrastructure,
    cast: &Cast,
) -> Result<OwnPorts, TestbedError> {
    let mut own = OwnPorts::new();
    for component in infrastructure.topology.started() {
        for instance in cast.get(&component.name).into_iter().flatten() {
            let mut ports = BTreeMap::new();
            for name in component.ports.keys() {
                ports.insert(name.clone(), infrastructure.ports.reserve()?);
            }
            own.insert(instance.clone(), ports);
        }
    }
    Ok(own)
}

/// Where servers listen, by instance and port. The broker is not among them: it has a listener for each client.
pub(super) fn server_addresses(
    infrastructure: &Infrastructure,
    own: &OwnPorts,
    object_store: Option<&DrillObjectStore>,
) -> BTreeMap<(String, String), SocketAddr> {
    let mut addresses: BTreeMap<_, _> = own
        .iter()
        .flat_map(|(instance, ports)| {
            ports
                .iter()
                .map(|(name, port)| ((instance.clone(), name.clone()), port.address()))
        })
        .collect();
    for (name, component) in &infrastructure.topology.components {
        let provided = match component.program {
            Program::Provided(Provided::Postgres) => infrastructure
                .database_server
                .as_ref()
                .map(|server| server.cluster.address()),
            Program::Provided(Provided::ObjectStore) => object_store.map(DrillObjectStore::address),
            Program::Provided(Provided::Kafka) | Program::Cargo { .. } | Program::Command(_) => {
                None
            }
        };
        let ports = component.ports.keys();
        addresses.extend(provided.into_iter().flat_map(|address| {
            ports
                .clone()
                .map(move |port| ((name.clone(), port.clone()), address))
        }));
    }
    addresses
}

/// Where customers find the system.
#[derive(Debug)]
pub(super) struct WaysIn {
    pub(super) entry_url: String,
    pub(super) page_url: Option<String>,
    pub(super) identity_url: Option<String>,
}

/// Where customers find the system, by names or by addresses.
pub(super) fn ways_in(
    topology: &Topology,
    links: &[(LinkPlan, SocketAddr)],
    by_name: bool,
) -> Result<WaysIn, TestbedError> {
    let url = |reference: &PortReference| customers_url(links, reference, by_name);
    Ok(WaysIn {
        entry_url: url(&topology.entry)?,
        page_url: topology.page.as_ref().map(url).transpose()?,
        identity_url: topology.identity.as_ref().map(url).transpose()?,
    })
}

/// Where customers reach a port: the first instance that has it.
fn customers_url(
    links: &[(LinkPlan, SocketAddr)],
    reference: &PortReference,
    by_name: bool,
) -> Result<String, TestbedError> {
    let way_in = links
        .iter()
        .find(|(plan, _)| plan.client == CUSTOMERS && plan.reference == *reference);
    let (plan, address) = way_in.ok_or_else(|| TestbedError::Failed {
        doing: "looking for the customers' way in".to_owned(),
        reason: format!("no instance of {} is started", reference.component),
    })?;
    let scheme = if plan.protocol == Protocol::Https {
        "https"
    } else {
        "http"
    };
    let place = names::place(plan, *address, by_name);
    Ok(format!("{scheme}://{place}"))
}

/// Who the customers' name server shows itself to be to browsers; none where customers go by addresses.
pub(super) fn customers_identity(
    infrastructure: &Infrastructure,
    certificates: &Certificates,
) -> Result<Option<ServerIdentity>, TestbedError> {
    let files = certificates.files(CUSTOMERS);
    let Some(files) = files.filter(|_| infrastructure.names_for_customers) else {
        return Ok(None);
    };
    let read = |file: &Path| {
        std::fs::read_to_string(file).map_err(|error| TestbedError::Failed {
            doing: format!("reading {}", file.display()),
            reason: error.to_string(),
        })
    };
    Ok(Some(ServerIdentity {
        certificate_pem: read(&files.certificate)?,
        private_key_pem: read(&files.private_key)?,
    }))
}

pub(super) fn launch(
    infrastructure: &Infrastructure,
    meaning: &Meaning<'_>,
) -> Result<Launch, TestbedError> {
    let root = &infrastructure.topology.root;
    let mut arguments = Vec::new();
    let program = match &meaning.component.program {
        Program::Command(words) => {
            let mut words = words.iter();
            let program = words.next().map(|word| instance::program(word, root));
            arguments.extend(words.map(Into::into));
            program
        }
        Program::Cargo { package } => infrastructure.binaries.get(package).cloned(),
        Program::Provided(_) => None,
    };
    arguments.extend(meaning.arguments()?);
    Ok(Launch {
        program: program.ok_or_else(|| TestbedError::Failed {
            doing: format!("starting {}", meaning.instance),
            reason: "it has no program".to_owned(),
        })?,
        arguments,
        folder: root.clone(),
        environment: meaning.environment()?,
        log: meaning
            .request
            .directory
            .join(format!("{}.log", meaning.instance)),
        user: None,
        death_signal: DeathSignal::Kill,
    })
}

pub(super) fn probe(component: &Component, ports: &BTreeMap<String, SocketAddr>) -> Probe {
    let url = component.ready_probe().and_then(|(port, path)| {
        let scheme = match component.ports.get(port) {
            Some(Protocol::Https) => "https",
            _ => "http",
        };
        Some(format!("{scheme}://{}{path}", ports.get(port)?))
    });
    url.map_or_else(
        || Probe::Ports(ports.values().copied().collect()),
        Probe::Url,
    )
}
