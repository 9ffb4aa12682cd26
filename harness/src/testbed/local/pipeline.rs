//! The running system of one drill.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::{BoxFuture, join_all, try_join_all},
    stream,
};

use super::{
    browser::Browsers,
    certificates::Certificates,
    drill_databases::DrillDatabases,
    expand::Meaning,
    infrastructure::Infrastructure,
    instance::{Instance, InstancePlan},
    links::{self, Cast},
    names::Names,
    object_store::DrillObjectStore,
    prepare::{
        WaysIn, customers_identity, in_background, launch, make_certificates, probe, probe_client,
        reserve_own_ports, server_addresses, ways_in,
    },
    proxies::{self, DrillBroker, Proxies},
};
use crate::{
    testbed::{
        Browser, DatabaseLogin, Exit, KafkaAccess, LinkProxy, LinkSelector, ObjectStoreAccess,
        Pipeline, PipelineRequest, ServerName, Signal, TestbedError,
        certificate::{Authority, Issued, Terms},
    },
    topology::{CUSTOMERS, Program, Provided},
};

/// The system of one drill, on the run's infrastructure.
#[derive(Debug)]
pub(super) struct LocalPipeline {
    infrastructure: Arc<Infrastructure>,
    cast: Cast,
    instances: BTreeMap<String, Instance>,
    certificates: Arc<Certificates>,
    /// Asks whether instances are ready.
    client: reqwest::Client,
    proxies: Proxies,
    names: Names,
    broker: Option<DrillBroker>,
    object_store: Option<DrillObjectStore>,
    topic_prefix: String,
    databases: DrillDatabases,
    ways_in: WaysIn,
    browsers: Browsers,
}

/// Instances that start at the same time while somebody else is at work: a start takes a processor for as long as it
/// lasts, and many at once would take them all.
const STARTED_AT_ONCE_IN_BACKGROUND: usize = 2;
/// How long the next instance waits for one that started in the background and says nothing.
const NEXT_AFTER: Duration = Duration::from_secs(1);

impl LocalPipeline {
    /// Starts every instance and waits until all are ready. Nothing is left of it when that fails or is cancelled.
    pub(super) async fn start(
        infrastructure: Arc<Infrastructure>,
        request: PipelineRequest,
        ready_within: Duration,
    ) -> Result<Self, TestbedError> {
        let cancelled = request.cancel.clone();
        let prepared = tokio::select! {
            prepared = Self::prepare(infrastructure, &request) => prepared?,
            () = cancelled.cancelled() => return Err(TestbedError::Interrupted),
        };
        let outcome = tokio::select! {
            outcome = prepared.start_instances(request.in_background, ready_within) => outcome,
            () = cancelled.cancelled() => Err(TestbedError::Interrupted),
        };
        match outcome {
            Ok(()) => Ok(prepared),
            Err(error) => {
                if let Err(also) = prepared.end().await {
                    tracing::error!(drill = request.drill, error = %also, "a pipeline that failed to start");
                }
                Err(error)
            }
        }
    }

    /// Everything but the processes: databases, broker, proxies, settings.
    async fn prepare(
        infrastructure: Arc<Infrastructure>,
        request: &PipelineRequest,
    ) -> Result<Self, TestbedError> {
        let topology = &infrastructure.topology;
        let ports = &infrastructure.ports;
        let cast = links::cast(topology, request)?;
        let topic_prefix = format!("{}.", request.drill);
        let certificates = make_certificates(&infrastructure, &request.drill).await?;
        let provided_broker = topology
            .components
            .values()
            .find(|component| component.program == Program::Provided(Provided::Kafka));
        let mut broker = match provided_broker {
            Some(component) => Some(DrillBroker::start(component, &topic_prefix, ports).await?),
            None => None,
        };
        let has_object_store = topology
            .components
            .values()
            .any(|component| component.program == Program::Provided(Provided::ObjectStore));
        let object_store = match has_object_store {
            true => {
                Some(DrillObjectStore::start(&request.drill, &infrastructure.run, ports).await?)
            }
            false => None,
        };
        let store_access = object_store.as_ref().map(DrillObjectStore::access);
        let mut own_ports = reserve_own_ports(&infrastructure, &cast)?;
        let servers = server_addresses(&infrastructure, &own_ports, object_store.as_ref());
        let wires =
            proxies::wire(links::plan(topology, &cast), &servers, &mut broker, ports).await?;
        let addresses: Vec<_> = wires
            .iter()
            .map(|wire| (wire.plan.clone(), wire.port.address()))
            .collect();
        let by_name = infrastructure.names_for_customers;
        let ways_in = ways_in(topology, &addresses, by_name)?;
        let customers = customers_identity(&infrastructure, &certificates)?;
        let names = Names::start(topology, &cast, &addresses, customers.as_ref(), ports).await?;
        let proxies = Proxies::start(wires, request.seed, ports).await?;
        let databases = DrillDatabases::lease(&infrastructure, &request.drill).await?;
        let mut instances = BTreeMap::new();
        for component in topology.started() {
            let database = databases.of(&component.name);
            let password_file = databases.password_file(&component.name);
            for name in cast.get(&component.name).into_iter().flatten() {
                let ports = own_ports.remove(name).unwrap_or_default();
                let own: BTreeMap<String, SocketAddr> = ports
                    .iter()
                    .map(|(name, port)| (name.clone(), port.address()))
                    .collect();
                let meaning = Meaning {
                    topology,
                    component,
                    instance: name,
                    request,
                    topic_prefix: &topic_prefix,
                    ports: &own,
                    links: &addresses,
                    names: &names,
                    names_for_customers: by_name,
                    database: database.as_ref(),
                    password_file: password_file.as_deref(),
                    object_store: store_access.as_ref(),
                    certificates: &certificates,
                    run: &infrastructure.run,
                };
                let launch = launch(&infrastructure, &meaning)?;
                let plan = InstancePlan {
                    name: name.clone(),
                    ports,
                    launch,
                    probe: probe(component, &own),
                };
                instances.insert(name.clone(), Instance::new(plan));
            }
        }
        let verify = topology.customers_verify(&request.without);
        Ok(Self {
            databases,
            infrastructure,
            cast,
            instances,
            client: probe_client(&certificates)?,
            certificates,
            proxies,
            broker,
            object_store,
            topic_prefix,
            ways_in,
            browsers: Browsers::new(request.directory.clone(), names.https_url(), verify),
            names,
        })
    }

    /// Starts every instance, in the background a few at a time, and waits until all are ready.
    async fn start_instances(
        &self,
        in_background: bool,
        ready_within: Duration,
    ) -> Result<(), TestbedError> {
        let processes = &self.infrastructure.processes;
        let client = &self.client;
        let start = async |instance: &Instance| {
            instance.start(processes).await?;
            if in_background {
                // Who says nothing until another one is there must not keep that one from being started.
                let answering = instance.answers(client);
                let _ = tokio::time::timeout(NEXT_AFTER, answering).await;
            }
            Ok(())
        };
        let starting: Vec<_> = self.instances.values().map(start).collect();
        let at_once = if in_background {
            STARTED_AT_ONCE_IN_BACKGROUND
        } else {
            self.instances.len()
        };
        stream::iter(starting)
            .buffer_unordered(at_once.max(1))
            .try_collect::<()>()
            .await?;
        let instances = self.instances.values();
        let getting_ready = instances.map(|instance| instance.ready(client, ready_within));
        try_join_all(getting_ready).await.map(drop)
    }

    async fn end(&self) -> Result<(), TestbedError> {
        let mut failures = self.browsers.close().await;
        let ending = self.instances.values().map(|instance| instance.kill());
        let ended = join_all(ending).await.into_iter();
        failures.extend(ended.filter_map(|ended| Some(ended.err()?.to_string())));
        self.proxies.stop().await;
        self.names.stop().await;
        if let Some(broker) = &self.broker {
            broker.broker.shutdown().await;
        }
        if let Some(object_store) = &self.object_store {
            object_store.stop().await;
        }
        self.remove_certificates().await;
        self.databases.end().await;
        if failures.is_empty() {
            return Ok(());
        }
        Err(TestbedError::Failed {
            doing: "stopping the pipeline".to_owned(),
            reason: failures.join("; "),
        })
    }

    async fn remove_certificates(&self) {
        let certificates = Arc::clone(&self.certificates);
        let removed = tokio::task::spawn_blocking(move || certificates.remove()).await;
        // The run's folder goes with everything in it, so that nothing is left either way.
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "the certificates are removed later");
        }
    }

    fn started(&self, instance: &str) -> Result<&Instance, TestbedError> {
        self.instances.get(instance).ok_or_else(|| {
            let reason = if self.cast.contains_key(instance) {
                format!("all drills of this run share {instance}, or it has no process; hurt its links instead")
            } else {
                let known: Vec<&str> = self.instances.keys().map(String::as_str).collect();
                format!("there are {}", known.join(", "))
            };
            TestbedError::Failed { doing: format!("looking for the process of {instance}"), reason }
        })
    }
}

/// A drill that was given up leaves nothing running. Proxies, name servers and the broker end by being dropped, and the
/// databases go back so.
impl Drop for LocalPipeline {
    fn drop(&mut self) {
        self.browsers.give_up();
        for instance in self.instances.values() {
            instance.give_up();
        }
    }
}

impl Pipeline for LocalPipeline {
    fn instances(&self, component: &str) -> Vec<String> {
        self.cast.get(component).cloned().unwrap_or_default()
    }

    fn links(&self, selector: &LinkSelector) -> Result<Vec<LinkProxy>, TestbedError> {
        let chosen = links::select(self.proxies.plans(), selector)?;
        Ok(chosen
            .into_iter()
            .map(|plan| LinkProxy {
                name: plan.name.clone(),
                client: plan.client.clone(),
                server: plan.server.clone(),
                api_url: self.proxies.api_url(),
                protocol: plan.protocol,
            })
            .collect())
    }

    fn names(&self, selector: &LinkSelector) -> Result<Vec<ServerName>, TestbedError> {
        self.names.select(self.proxies.plans(), selector)
    }

    fn customers_name_server(&self) -> Option<SocketAddr> {
        self.names.address(CUSTOMERS)
    }

    fn address(&self, instance: &str, port: &str) -> Option<SocketAddr> {
        if let Some(instance) = self.instances.get(instance) {
            return instance.address(port);
        }
        let component = self.infrastructure.topology.components.get(instance)?;
        match component.program {
            Program::Provided(Provided::Postgres) => Some(
                self.infrastructure
                    .database_server
                    .as_ref()?
                    .cluster
                    .address(),
            ),
            Program::Provided(Provided::Kafka) => Some(self.broker.as_ref()?.address),
            Program::Provided(Provided::ObjectStore) => Some(self.object_store.as_ref()?.address()),
            Program::Cargo { .. } | Program::Command(_) => None,
        }
    }

    fn entry_url(&self) -> String {
        self.ways_in.entry_url.clone()
    }

    fn page_url(&self) -> Option<String> {
        self.ways_in.page_url.clone()
    }

    fn open_browser<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Browser, TestbedError>> {
        let trusted = self.certificates.authority_file();
        self.browsers
            .open(&self.infrastructure, trusted, &self.client, name)
            .boxed()
    }

    fn identity_url(&self) -> Option<String> {
        self.ways_in.identity_url.clone()
    }

    fn certificate_authority_pem(&self) -> &str {
        self.certificates.authority_pem()
    }

    fn serve_certificate<'a>(
        &'a self,
        component: &'a str,
        terms: Terms,
    ) -> BoxFuture<'a, Result<Issued, TestbedError>> {
        let (certificates, component) = (Arc::clone(&self.certificates), component.to_owned());
        let serving = move || certificates.serve(&component, terms);
        in_background("replacing a certificate", serving).boxed()
    }

    fn trust<'a>(
        &'a self,
        component: &'a str,
        authorities: &'a [Authority],
    ) -> BoxFuture<'a, Result<(), TestbedError>> {
        let (certificates, component) = (Arc::clone(&self.certificates), component.to_owned());
        let authorities = authorities.to_owned();
        let trusting = move || certificates.trust(&component, &authorities);
        in_background("replacing trusted authorities", trusting).boxed()
    }

    fn database_url(&self, component: &str) -> Option<String> {
        self.databases.url(component)
    }

    fn database_login(&self, component: &str) -> Option<DatabaseLogin> {
        self.databases.login(component)
    }

    fn change_database_password<'a>(
        &'a self,
        component: &'a str,
    ) -> BoxFuture<'a, Result<(), TestbedError>> {
        self.databases.change_password(component).boxed()
    }

    fn tell_database_password<'a>(
        &'a self,
        component: &'a str,
    ) -> BoxFuture<'a, Result<(), TestbedError>> {
        self.databases.tell_password(component).boxed()
    }

    fn kafka(&self) -> Option<KafkaAccess> {
        let broker = self.broker.as_ref()?;
        Some(KafkaAccess {
            bootstrap: broker.address.to_string(),
            topic_prefix: self.topic_prefix.clone(),
            embedded: Some(Arc::clone(&broker.broker)),
        })
    }

    fn object_store(&self) -> Option<ObjectStoreAccess> {
        self.object_store.as_ref().map(DrillObjectStore::access)
    }

    fn signal<'a>(
        &'a self,
        instance: &'a str,
        signal: Signal,
    ) -> BoxFuture<'a, Result<(), TestbedError>> {
        async move { self.started(instance)?.signal(signal) }.boxed()
    }

    fn start_again<'a>(&'a self, instance: &'a str) -> BoxFuture<'a, Result<(), TestbedError>> {
        async move {
            self.started(instance)?
                .start(&self.infrastructure.processes)
                .await
        }
        .boxed()
    }

    fn ready<'a>(
        &'a self,
        instance: &'a str,
        within: Duration,
    ) -> BoxFuture<'a, Result<(), TestbedError>> {
        async move { self.started(instance)?.ready(&self.client, within).await }.boxed()
    }

    fn exits(&self, instance: &str) -> Vec<Exit> {
        self.instances
            .get(instance)
            .map(Instance::exits)
            .unwrap_or_default()
    }

    fn wait_for_exit<'a>(&'a self, instance: &'a str, seen: usize) -> BoxFuture<'a, Exit> {
        async move {
            match self.started(instance) {
                Ok(instance) => instance.wait_for_exit(seen).await,
                Err(error) => {
                    tracing::error!(%error, "nothing to wait for");
                    Exit {
                        code: None,
                        signal: None,
                        expected: false,
                    }
                }
            }
        }
        .boxed()
    }

    fn resident_memory_bytes(&self, instance: &str) -> Option<u64> {
        self.instances.get(instance)?.resident_memory_bytes()
    }

    fn log(&self, instance: &str) -> Option<PathBuf> {
        if let Some(instance) = self.instances.get(instance) {
            return Some(instance.log().to_owned());
        }
        let component = self.infrastructure.topology.components.get(instance)?;
        let server = self.infrastructure.database_server.as_ref()?;
        (component.program == Program::Provided(Provided::Postgres))
            .then(|| server.cluster.log().to_owned())
    }

    fn stop(&self) -> BoxFuture<'_, Result<(), TestbedError>> {
        // Everything worth knowing has been read by now: a farewell would only keep the next drill waiting.
        self.end().boxed()
    }
}
