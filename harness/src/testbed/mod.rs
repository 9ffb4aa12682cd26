//! Where the system runs. A testbed is leased; each drill gets a pipeline of its own from it.

pub mod certificate;
pub mod local;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

/// A place that can run the system of a topology, several drills at once.
pub trait Testbed: Send + Sync {
    /// `local` or `containers`.
    fn name(&self) -> &'static str;
    /// What can be done to a system here; asked before a drill is planned.
    fn capabilities(&self) -> Capabilities;
    /// Starts a whole pipeline for one drill and returns when every component is ready.
    fn start<'a>(
        &'a self,
        request: PipelineRequest,
    ) -> BoxFuture<'a, Result<Arc<dyn Pipeline>, TestbedError>>;
    /// Stops everything that the testbed itself started. Pipelines must have been stopped before.
    fn shut_down(&self) -> BoxFuture<'_, Result<(), TestbedError>>;
}

/// What a testbed can do; a scenario that needs more is `SKIPPED`, visibly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Instances can be frozen and thawed.
    pub can_pause: bool,
    /// Real packets can be dropped.
    pub can_drop_packets: bool,
    /// A browser is at hand.
    pub has_browser: bool,
}

/// What one drill wants from its testbed.
#[derive(Debug, Clone)]
pub struct PipelineRequest {
    /// Short name, unique in the run, usable in file and database names: `d0007`.
    pub drill: String,
    /// Folder for logs; exists.
    pub directory: PathBuf,
    /// Seed for everything that draws lots.
    pub seed: u64,
    /// Defences to switch off.
    pub without: Vec<String>,
    /// Settings that differ from the topology, by component and name.
    pub settings: BTreeMap<(String, String), String>,
    /// Replicas that differ from the topology, by component.
    pub replicas: BTreeMap<String, u32>,
    /// Whether somebody else is at work meanwhile, from whom the start should take little.
    pub in_background: bool,
    /// Ends the start early.
    pub cancel: CancellationToken,
}

impl PipelineRequest {
    /// Whether another request would be served by the same pipeline.
    pub fn asks_for_the_same(&self, other: &Self) -> bool {
        let Self {
            drill,
            directory,
            seed,
            without,
            settings,
            replicas,
            in_background: _,
            cancel: _,
        } = self;
        *drill == other.drill
            && *directory == other.directory
            && *seed == other.seed
            && *without == other.without
            && *settings == other.settings
            && *replicas == other.replicas
    }
}

/// A running system that belongs to one drill.
pub trait Pipeline: Send + Sync {
    /// Names of the instances of a component, in order; empty when there is no such component.
    fn instances(&self, component: &str) -> Vec<String>;
    /// All proxies of the links that a selector means.
    ///
    /// # Errors
    /// No link matches.
    fn links(&self, selector: &LinkSelector) -> Result<Vec<LinkProxy>, TestbedError>;
    /// The names under which the clients of these links know their servers.
    ///
    /// # Errors
    /// No link matches, or one that does is used by address.
    fn names(&self, selector: &LinkSelector) -> Result<Vec<ServerName>, TestbedError>;
    /// Where an instance can be reached without passing a proxy, for observing, probing and controlling it.
    fn address(&self, instance: &str, port: &str) -> Option<SocketAddr>;
    /// Where customers reach the system, through the proxy of their link: `https://127.0.0.1:4711`, or a name instead of the
    /// address.
    fn entry_url(&self) -> String;
    /// Whom customers ask where the names in these addresses are, over UDP and TCP; none where every resolver knows them.
    fn customers_name_server(&self) -> Option<SocketAddr>;
    /// Where customers find the page in which they shop, through the proxy of their link; none where there is none.
    fn page_url(&self) -> Option<String>;
    /// Starts a browser with a profile of its own, which trusts only the drill's certificate authority. It ends with the
    /// pipeline at the latest.
    ///
    /// # Errors
    /// [`TestbedError::Unsupported`] where there is no browser; or it did not start.
    fn open_browser<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Browser, TestbedError>>;
    /// Where customers get their tokens, through the proxy of their link; none where they need none.
    fn identity_url(&self) -> Option<String>;
    /// The certificate authority of this drill that everybody trusts from the start, PEM.
    fn certificate_authority_pem(&self) -> &str;
    /// Puts another certificate, with another key, where the instances of a component read theirs. When they take it up is
    /// theirs to decide.
    ///
    /// # Errors
    /// The component serves no certificate that could be replaced, or it could not be.
    fn serve_certificate<'a>(
        &'a self,
        component: &'a str,
        terms: certificate::Terms,
    ) -> BoxFuture<'a, Result<certificate::Issued, TestbedError>>;
    /// Puts the certificates of these authorities where the instances of a component read whom they trust. When they take
    /// that up is theirs to decide.
    ///
    /// # Errors
    /// The component is told of no authorities, one of them is nobody's to trust, or they could not be replaced.
    fn trust<'a>(
        &'a self,
        component: &'a str,
        authorities: &'a [certificate::Authority],
    ) -> BoxFuture<'a, Result<(), TestbedError>>;
    /// A connection string to a component's database for the harness, which passes no proxy and goes on whatever happens to
    /// the component's own login.
    fn database_url(&self, component: &str) -> Option<String>;
    /// How a component logs in to its database; none where it has none.
    fn database_login(&self, component: &str) -> Option<DatabaseLogin>;
    /// Gives a component's login another password, at the database only, and ends the sessions that it has open.
    ///
    /// # Errors
    /// It has no database, or the server does not do all of it.
    fn change_database_password<'a>(
        &'a self,
        component: &'a str,
    ) -> BoxFuture<'a, Result<(), TestbedError>>;
    /// Puts the password that the database takes now where the instances of a component read theirs. When they take it up
    /// is theirs to decide.
    ///
    /// # Errors
    /// It has no database, or the file could not be replaced.
    fn tell_database_password<'a>(
        &'a self,
        component: &'a str,
    ) -> BoxFuture<'a, Result<(), TestbedError>>;
    /// The broker.
    fn kafka(&self) -> Option<KafkaAccess>;
    /// The object store.
    fn object_store(&self) -> Option<ObjectStoreAccess>;
    /// Sends a signal to an instance.
    fn signal<'a>(
        &'a self,
        instance: &'a str,
        signal: Signal,
    ) -> BoxFuture<'a, Result<(), TestbedError>>;
    /// Starts an instance that has ended, with the same settings and ports. Returns when its process runs.
    fn start_again<'a>(&'a self, instance: &'a str) -> BoxFuture<'a, Result<(), TestbedError>>;
    /// Waits until an instance answers its readiness probe with 200.
    fn ready<'a>(
        &'a self,
        instance: &'a str,
        within: Duration,
    ) -> BoxFuture<'a, Result<(), TestbedError>>;
    /// How an instance's processes have ended so far, oldest first.
    fn exits(&self, instance: &str) -> Vec<Exit>;
    /// Waits until an instance has ended more than `seen` times; returns at once if it has.
    fn wait_for_exit<'a>(&'a self, instance: &'a str, seen: usize) -> BoxFuture<'a, Exit>;
    /// What an instance holds in RAM, in bytes; none while it does not run.
    fn resident_memory_bytes(&self, instance: &str) -> Option<u64>;
    /// File with what an instance wrote.
    fn log(&self, instance: &str) -> Option<PathBuf>;
    /// Stops everything of this drill, removes its databases and says which instances ended unasked.
    fn stop(&self) -> BoxFuture<'_, Result<(), TestbedError>>;
}

/// Which proxies a fault means: whole components or single instances on either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSelector {
    /// `payment-service`, `payment-service-1` or `customers`.
    pub client: String,
    /// `payment-provider`, `order-service-2`, `kafka`, `postgres`.
    pub server: String,
}

/// The proxy of one link between two instances.
#[derive(Debug, Clone)]
pub struct LinkProxy {
    /// Its name at the proxy's API, `order-service-1->postgres`.
    pub name: String,
    /// The instance that connects.
    pub client: String,
    /// The instance that is connected to.
    pub server: String,
    /// Base URL of the API (Toxiproxy's, with our extensions) that controls it.
    pub api_url: String,
    /// What is spoken on the link.
    pub protocol: crate::topology::Protocol,
}

/// A name under which a client knows a server, and the client's own name server, which nobody else asks.
#[derive(Debug, Clone)]
pub struct ServerName {
    /// The instance that asks, or `customers`.
    pub client: String,
    /// The instance that is meant.
    pub server: String,
    /// The name, `order-service-1.order-service.firedrill.test`.
    pub name: String,
    /// Who answers.
    pub name_server: Arc<local_name_server::NameServer>,
}

/// How a component logs in to its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseLogin {
    /// The role, which belongs to this drill only.
    pub user: String,
    /// Where the server writes down whom it refuses.
    pub server_log: PathBuf,
}

/// How the harness reaches the broker, past every proxy.
#[derive(Clone)]
pub struct KafkaAccess {
    /// `host:port` of the harness's own listener.
    pub bootstrap: String,
    /// Prefix of this drill's topics and consumer groups.
    pub topic_prefix: String,
    /// The embedded broker of the local testbed; none where the broker is a real Apache Kafka.
    pub embedded: Option<Arc<kafka_broker::Broker>>,
}

/// A running browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    /// Where WebDriver is spoken, `http://127.0.0.1:4444`.
    pub driver_url: String,
    /// Where the browser itself is reached by its driver, `127.0.0.1:9222`.
    pub debugger_address: String,
}

/// How the harness reaches the object store, past every proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStoreAccess {
    /// `http://host:port`; buckets are addressed by path.
    pub url: String,
    /// The drill's bucket.
    pub bucket: String,
    /// The name that requests are signed with.
    pub access_key: String,
    /// The secret that requests are signed with.
    pub secret_key: String,
}

/// What is sent to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Terminate,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, if it ended by itself.
    pub code: Option<i32>,
    /// Signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Whether the harness had asked it to end (SIGTERM or SIGKILL of a stop, not of a fault).
    pub expected: bool,
}

/// The testbed could not do what was asked; never a finding about the system.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestbedError {
    /// The environment lacks something; exit code 69.
    #[error("{what} is missing: {remedy}")]
    Missing {
        /// What is missing.
        what: String,
        /// How to get it.
        remedy: String,
    },
    /// This testbed cannot do it on this machine; what needs it is skipped, visibly.
    #[error("{what} is missing: {remedy}")]
    Unsupported {
        /// What is missing.
        what: String,
        /// How to get it.
        remedy: String,
    },
    /// A component did not become ready.
    #[error("{instance} was not ready within {within_s} s: {reason}; its log: {log}")]
    NotReady {
        /// The instance.
        instance: String,
        /// The limit, in seconds.
        within_s: f64,
        /// The last thing it answered, or how it ended, with its last log lines.
        reason: String,
        /// Its log file.
        log: String,
    },
    /// Something else failed.
    #[error("{doing}: {reason}")]
    Failed {
        /// What was being done, to what.
        doing: String,
        /// What went wrong, and what to do.
        reason: String,
    },
    /// The run was interrupted.
    #[error("interrupted")]
    Interrupted,
}
