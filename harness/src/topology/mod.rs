//! The system as data: components, links, replicas, probes, settings, defences.

mod check;
mod links;
mod read;
mod shape;
mod template;

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the workload is called as the client of a [`Link`].
pub const CUSTOMERS: &str = "customers";

/// The JSON Schema of `topology.toml`, for editors.
pub fn schema() -> String {
    crate::document::schema::<shape::TopologyShape>()
}

/// A system that can be drilled.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// The file it was read from.
    pub path: PathBuf,
    /// The folder that paths in the file are relative to.
    pub root: PathBuf,
    /// Settings that every started component gets.
    pub settings: BTreeMap<String, Template>,
    /// The components by name.
    pub components: BTreeMap<String, Component>,
    /// The protections that can be switched off, by name.
    pub defences: BTreeMap<String, Defence>,
    /// Where customers enter, `api-gateway/public`.
    pub entry: PortReference,
    /// Where customers find the page in which they shop with a browser, `frontend/public`.
    pub page: Option<PortReference>,
    /// Who gives customers their tokens, `identity-provider/public`; none where they need none.
    pub identity: Option<PortReference>,
    /// The defence without which customers believe whoever answers; none where they verify certificates always.
    pub verification: Option<String>,
}

/// One part of the system.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// How it comes to life.
    pub program: Program,
    /// Arguments of the program.
    pub arguments: Vec<Template>,
    /// How many instances run.
    pub replicas: u32,
    /// Its ports by name.
    pub ports: BTreeMap<String, Protocol>,
    /// Path that answers 200 while the process lives.
    pub live: Option<String>,
    /// Path that answers 200 when the component can serve.
    pub ready: Option<String>,
    /// The port that is probed.
    pub probe_port: Option<String>,
    /// Its database, if it has one.
    pub database: Option<Database>,
    /// The component whose database it uses instead of having one.
    pub shares_database_of: Option<String>,
    /// Its settings (environment variables).
    pub settings: BTreeMap<String, Template>,
    /// How long it may take to stop after SIGTERM before it is killed, in seconds.
    pub stop_grace_s: u64,
    /// Moments between two effects at which it can be killed, delayed or made to fail, by name.
    pub fail_points: Vec<String>,
    /// Topics, without the drill's prefix, that exist before anything is started; only a Kafka broker has them.
    pub topics: BTreeMap<String, Topic>,
}

/// A topic of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// How many partitions it has.
    pub partitions: u32,
}

/// How a component comes to life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The testbed provides it.
    Provided(Provided),
    /// A binary of this workspace, built before it is started.
    Cargo {
        /// The package; its binary has the same name.
        package: String,
    },
    /// Any program: the first word is the program, the others its first arguments.
    Command(Vec<String>),
}

/// What a testbed provides by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provided {
    /// PostgreSQL.
    Postgres,
    /// A Kafka broker.
    Kafka,
    /// A store that speaks S3, with a bucket for each drill.
    #[serde(rename = "object-store")]
    ObjectStore,
}

/// What is spoken on a port.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https,
    /// PostgreSQL's protocol.
    Postgres,
    /// Kafka's protocol.
    Kafka,
    /// Anything over TCP.
    Tcp,
}

/// A component's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its name in SQL, before the drill's own name is added.
    pub name: String,
    /// Folder of SQL migrations that a template is made from; none when the component makes its own tables.
    pub migrations: Option<PathBuf>,
}

/// A protection of the system that can be switched off by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defence {
    /// Its name, `payment.idempotency-key`.
    pub name: String,
    /// The component that has it.
    pub component: String,
    /// What is safe as long as it is on, one sentence.
    pub protects: String,
}

/// A component and one of its ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortReference {
    /// The component.
    pub component: String,
    /// The port's name.
    pub port: String,
}

/// One client-to-server connection of the topology, between components.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// The component that connects; `customers` for the workload.
    pub client: String,
    /// The component and port that is connected to.
    pub server: PortReference,
}

/// A setting's value with placeholders.
///
/// `{link:COMPONENT}` and `{link:COMPONENT/PORT}`: the `host:port` list (comma separated, one per replica of the server) of
/// the proxies that belong to this client instance. `{named:COMPONENT/PORT}`: the same with names instead of addresses, for
/// components that ask the name server at `{name_server}` where a name is. `{customers:COMPONENT/PORT}`: the same for the customers, for components that
/// tell customers' browsers where to go; it makes a link of the customers. `{listen:PORT}`: the `host:port` to listen on. `{instance}`,
/// `{database}`, `{database_user}`, `{database_password}`, `{database_password_file}`, `{ca_file}`, `{certificate_file}`,
/// `{private_key_file}`, `{bucket}`, `{bucket_access_key}`, `{bucket_secret_key}`, `{topic_prefix}`, `{defences_off}`, `{seed}`.
/// `{{` and `}}` are literal braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Literal text and placeholders in order.
    pub parts: Vec<TemplatePart>,
}

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text as it stands.
    Text(String),
    /// The addresses of a server's proxies.
    Link(PortReference),
    /// The names and ports of a server's proxies.
    Named(PortReference),
    /// The addresses at which customers reach a server, through their own proxies.
    Customers(PortReference),
    /// An own address.
    Listen(String),
    /// Any of the words without an argument.
    Word(Word),
}

/// Placeholders without an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Name of the instance, `order-service-1`.
    Instance,
    /// Address of the DNS server, over UDP and TCP, that this instance asks where names are.
    NameServer,
    /// Name of this component's database in this drill.
    Database,
    /// User of this component's database.
    DatabaseUser,
    /// Password of this component's database, as it is when the instance is prepared.
    DatabasePassword,
    /// File with the password of this component's database; a drill may change what it holds.
    DatabasePasswordFile,
    /// PEM file with the certificate authority of this drill.
    CaFile,
    /// PEM file with this component's certificate chain.
    CertificateFile,
    /// PEM file with this component's private key.
    PrivateKeyFile,
    /// This drill's bucket in the object store.
    Bucket,
    /// The name that requests to the bucket are signed with.
    BucketAccessKey,
    /// The secret that requests to the bucket are signed with.
    BucketSecretKey,
    /// Prefix of this drill's topics and consumer groups; may be empty.
    TopicPrefix,
    /// Names of the defences that are switched off, comma separated.
    DefencesOff,
    /// The drill's seed.
    Seed,
}
