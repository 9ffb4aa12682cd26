//! A small system in memory: as many real parts as a test asks for, behind the trait that a testbed offers.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use firedrill::testbed::{
    Browser, DatabaseLogin, Exit, KafkaAccess, LinkProxy, LinkSelector, ObjectStoreAccess,
    Pipeline, ServerName, Signal, TestbedError,
    certificate::{Authority, Issued, Terms},
    local::{certificates::Certificates, ports::Ports},
};
use futures::{FutureExt, future::BoxFuture};

use super::{
    logins::Logins,
    process::Process,
    victim::{self, DatabaseRole, Role, TlsRole},
};

/// A system of a few parts.
#[derive(Default)]
pub(crate) struct SmallPipeline {
    processes: BTreeMap<String, Arc<Process>>,
    addresses: BTreeMap<String, SocketAddr>,
    links: Vec<LinkProxy>,
    names: Vec<ServerName>,
    databases: BTreeMap<String, String>,
    kafka: Option<KafkaAccess>,
    certificates: Option<Arc<Certificates>>,
    logins: Option<Arc<Logins>>,
}

impl SmallPipeline {
    /// Starts processes of one component, all ready when this returns.
    pub(crate) async fn with_victims(mut self, component: &str, count: usize) -> Self {
        for number in 1..=count {
            let name = format!("{component}-{number}");
            self.add(&name, Process::new(&name, Role::Plain, Vec::new()));
        }
        for name in self.processes.keys() {
            self.ready(name, Duration::from_secs(20))
                .await
                .expect("the victim is ready");
        }
        self
    }

    fn add(&mut self, name: &str, process: Arc<Process>) {
        process.start().expect("the victim starts");
        self.addresses.insert(name.to_owned(), process.address);
        self.processes.insert(name.to_owned(), process);
    }

    /// Starts one process of a component that shows its certificate, at the address that is returned as well; it looks
    /// for another one while it runs, or only when it is started.
    pub(crate) async fn with_tls_victim(
        mut self,
        component: &str,
        certificates: &Arc<Certificates>,
        reloads: bool,
    ) -> (Self, SocketAddr) {
        let name = format!("{component}-1");
        let port = Ports::new().reserve().expect("a free port");
        let address = port.address();
        let files = certificates.files(component).expect("its certificate");
        let role = TlsRole {
            listen: address,
            certificate: files.certificate.clone(),
            private_key: files.private_key.clone(),
            reloads,
        };
        self.add(&name, Process::new(&name, Role::Tls(role), vec![port]));
        self.certificates = Some(Arc::clone(certificates));
        self.ready(&name, Duration::from_secs(20))
            .await
            .expect("the victim is ready");
        (self, address)
    }

    /// Starts one process of a component that logs in to its database; it follows a password that changes, or keeps the
    /// first one.
    pub(crate) async fn with_database_victim(
        mut self,
        component: &str,
        logins: &Arc<Logins>,
        follows_password: bool,
    ) -> Self {
        let name = format!("{component}-1");
        let role = DatabaseRole {
            url: logins.url_without_password(component),
            password_file: logins.password_file(component),
            follows_password,
        };
        self.add(&name, Process::new(&name, Role::Database(role), Vec::new()));
        self.logins = Some(Arc::clone(logins));
        self.ready(&name, Duration::from_secs(20))
            .await
            .expect("the victim is ready");
        self
    }

    /// Adds the `http` port of something that runs elsewhere.
    pub(crate) fn with_address(mut self, instance: &str, address: SocketAddr) -> Self {
        self.addresses.insert(instance.to_owned(), address);
        self
    }

    pub(crate) fn with_link(mut self, link: LinkProxy) -> Self {
        self.links.push(link);
        self
    }

    pub(crate) fn with_name(mut self, name: ServerName) -> Self {
        self.names.push(name);
        self
    }

    pub(crate) fn with_database(mut self, component: &str, url: &str) -> Self {
        self.databases.insert(component.to_owned(), url.to_owned());
        self
    }

    pub(crate) fn with_kafka(mut self, access: KafkaAccess) -> Self {
        self.kafka = Some(access);
        self
    }

    pub(crate) fn share(self) -> Arc<dyn Pipeline> {
        Arc::new(self)
    }

    fn process(&self, instance: &str) -> Result<&Arc<Process>, TestbedError> {
        self.processes
            .get(instance)
            .ok_or_else(|| failed(&format!("finding {instance}"), "there is no such process"))
    }

    fn logins(&self) -> Result<&Arc<Logins>, TestbedError> {
        let logins = self.logins.as_ref();
        logins.ok_or_else(|| failed("changing a password", "nobody logs in to anything"))
    }
}

impl Pipeline for SmallPipeline {
    fn instances(&self, component: &str) -> Vec<String> {
        let of_component = |name: &&String| {
            name.as_str() == component
                || name
                    .strip_prefix(component)
                    .and_then(|rest| rest.strip_prefix('-'))
                    .is_some_and(|number| number.parse::<u32>().is_ok())
        };
        self.addresses
            .keys()
            .filter(of_component)
            .cloned()
            .collect()
    }

    fn links(&self, selector: &LinkSelector) -> Result<Vec<LinkProxy>, TestbedError> {
        let meant = |link: &&LinkProxy| is_meant(&link.client, &link.server, selector);
        let found: Vec<LinkProxy> = self.links.iter().filter(meant).cloned().collect();
        if found.is_empty() {
            return Err(failed("finding a link", "there is none"));
        }
        Ok(found)
    }

    fn names(&self, selector: &LinkSelector) -> Result<Vec<ServerName>, TestbedError> {
        let meant = |name: &&ServerName| is_meant(&name.client, &name.server, selector);
        Ok(self.names.iter().filter(meant).cloned().collect())
    }

    fn customers_name_server(&self) -> Option<SocketAddr> {
        None
    }

    fn address(&self, instance: &str, port: &str) -> Option<SocketAddr> {
        (port == "http").then(|| self.addresses.get(instance).copied())?
    }

    fn entry_url(&self) -> String {
        String::new()
    }

    fn page_url(&self) -> Option<String> {
        None
    }

    fn open_browser<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<Browser, TestbedError>> {
        async { Err(failed("opening a browser", "there is no page")) }.boxed()
    }

    fn identity_url(&self) -> Option<String> {
        None
    }

    fn certificate_authority_pem(&self) -> &str {
        ""
    }

    fn serve_certificate<'a>(
        &'a self,
        component: &'a str,
        terms: Terms,
    ) -> BoxFuture<'a, Result<Issued, TestbedError>> {
        async move {
            let certificates = self.certificates.as_ref();
            let certificates =
                certificates.ok_or_else(|| failed("serving", "there are no certificates"))?;
            certificates.serve(component, terms)
        }
        .boxed()
    }

    fn trust<'a>(
        &'a self,
        component: &'a str,
        authorities: &'a [Authority],
    ) -> BoxFuture<'a, Result<(), TestbedError>> {
        async move {
            let certificates = self.certificates.as_ref();
            let certificates =
                certificates.ok_or_else(|| failed("trusting", "there are no certificates"))?;
            certificates.trust(component, authorities)
        }
        .boxed()
    }

    fn database_url(&self, component: &str) -> Option<String> {
        self.databases.get(component).cloned()
    }

    fn database_login(&self, component: &str) -> Option<DatabaseLogin> {
        self.logins.as_ref()?.login(component)
    }

    fn change_database_password<'a>(
        &'a self,
        component: &'a str,
    ) -> BoxFuture<'a, Result<(), TestbedError>> {
        async move { self.logins()?.change_password(component).await }.boxed()
    }

    fn tell_database_password<'a>(
        &'a self,
        component: &'a str,
    ) -> BoxFuture<'a, Result<(), TestbedError>> {
        async move { self.logins()?.tell_password(component) }.boxed()
    }

    fn object_store(&self) -> Option<ObjectStoreAccess> {
        None
    }

    fn kafka(&self) -> Option<KafkaAccess> {
        self.kafka.clone()
    }

    fn signal<'a>(
        &'a self,
        instance: &'a str,
        signal: Signal,
    ) -> BoxFuture<'a, Result<(), TestbedError>> {
        async move { self.process(instance)?.signal(signal) }.boxed()
    }

    fn start_again<'a>(&'a self, instance: &'a str) -> BoxFuture<'a, Result<(), TestbedError>> {
        async move {
            let process = self.process(instance)?;
            if process.runs() {
                return Err(failed(&format!("starting {instance}"), "it runs already"));
            }
            process.start()
        }
        .boxed()
    }

    fn ready<'a>(
        &'a self,
        instance: &'a str,
        within: Duration,
    ) -> BoxFuture<'a, Result<(), TestbedError>> {
        async move {
            let address = self.process(instance)?.address;
            let ready = async {
                while victim::get(address, "/health/ready").await != Some(200) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(within, ready)
                .await
                .map_err(|_| TestbedError::NotReady {
                    instance: instance.to_owned(),
                    within_s: within.as_secs_f64(),
                    reason: "it says so".to_owned(),
                    log: "nowhere".to_owned(),
                })
        }
        .boxed()
    }

    fn exits(&self, instance: &str) -> Vec<Exit> {
        let process = self.processes.get(instance);
        process.map(|process| process.exits()).unwrap_or_default()
    }

    fn wait_for_exit<'a>(&'a self, instance: &'a str, seen: usize) -> BoxFuture<'a, Exit> {
        async move {
            let process = self.process(instance).expect("a process");
            process.exit_after(seen).await
        }
        .boxed()
    }

    fn resident_memory_bytes(&self, _: &str) -> Option<u64> {
        None
    }
    fn log(&self, _instance: &str) -> Option<PathBuf> {
        None
    }

    fn stop(&self) -> BoxFuture<'_, Result<(), TestbedError>> {
        async { Ok(()) }.boxed()
    }
}

/// Whether a selector means the link between two instances.
fn is_meant(client: &str, server: &str, selector: &LinkSelector) -> bool {
    let side = |instance: &str, wanted: &str| {
        instance == wanted || firedrill::fault::component_of(instance) == Some(wanted)
    };
    side(client, &selector.client) && side(server, &selector.server)
}

pub(crate) fn failed(doing: &str, reason: &str) -> TestbedError {
    TestbedError::Failed {
        doing: doing.to_owned(),
        reason: reason.to_owned(),
    }
}
