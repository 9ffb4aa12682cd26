//! The shape of `topology.toml`.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Protocol, Provided};

/// The system that is drilled: components, links, replicas, probes, settings, defences.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "firedrill topology")]
pub(super) struct TopologyShape {
    /// Where customers enter.
    pub(super) customers: CustomersShape,
    /// Settings that every started component gets.
    #[serde(default)]
    pub(super) settings: BTreeMap<String, SettingShape>,
    /// The components by name.
    pub(super) component: BTreeMap<String, ComponentShape>,
    /// The protections that can be switched off, by name.
    #[serde(default)]
    pub(super) defence: BTreeMap<String, DefenceShape>,
}

/// Where customers enter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomersShape {
    /// Component and port, `api-gateway/public`.
    pub(super) entry: String,
    /// Component and port of the page in which they shop with a browser, `frontend/public`.
    pub(super) page: Option<String>,
    /// Component and port of the provider that gives customers their tokens, `identity-provider/public`; customers send
    /// no tokens when it is left out.
    pub(super) identity: Option<String>,
    /// The defence that keeps customers from believing whoever answers, `frontend.tls-verify`; they verify certificates
    /// always when it is left out.
    pub(super) verification: Option<String>,
}

/// A setting: a text with placeholders such as `{link:postgres}`, or a number, or true or false.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum SettingShape {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
}

/// One part of the system: exactly one of `build`, `command` and `provided` says how it comes to life.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ComponentShape {
    /// A binary of this workspace that is built before it is started.
    pub(super) build: Option<BuildShape>,
    /// Any program: the first word is the program, the others are its first arguments.
    pub(super) command: Option<Vec<String>>,
    /// The testbed provides it.
    pub(super) provided: Option<Provided>,
    /// Arguments of the program, after those of `command`.
    #[serde(default)]
    pub(super) arguments: Vec<String>,
    /// How many instances run; 1 unless said otherwise.
    pub(super) replicas: Option<u32>,
    /// What is spoken on each port.
    #[serde(default)]
    pub(super) ports: BTreeMap<String, Protocol>,
    /// Path that answers 200 while the process lives.
    pub(super) live: Option<String>,
    /// Path that answers 200 when the component can serve.
    pub(super) ready: Option<String>,
    /// The port that is probed; needed only where several ports speak HTTP in the clear.
    pub(super) probe_port: Option<String>,
    /// Its database.
    pub(super) database: Option<DatabaseShape>,
    /// The component whose database it uses: another program of the same service.
    pub(super) shares_database_of: Option<String>,
    /// Its settings (environment variables).
    #[serde(default)]
    pub(super) settings: BTreeMap<String, SettingShape>,
    /// How long it may take to stop after SIGTERM before it is killed, in seconds; 10 unless said otherwise.
    pub(super) stop_grace_s: Option<u64>,
    /// Moments between two effects at which it can be killed, delayed or made to fail, by name.
    #[serde(default)]
    pub(super) fail_points: Vec<String>,
    /// Topics that exist before anything is started; only for Kafka.
    #[serde(default)]
    pub(super) topics: BTreeMap<String, TopicShape>,
}

/// A binary of this workspace.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BuildShape {
    /// The package; its binary has the same name.
    pub(super) cargo: String,
}

/// A component's database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseShape {
    /// Its name in SQL, before the drill's own name is added.
    pub(super) name: String,
    /// Folder of SQL migrations, relative to the topology file; none when the component makes its own tables.
    pub(super) migrations: Option<PathBuf>,
}

/// A topic.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicShape {
    /// How many partitions it has.
    pub(super) partitions: u32,
}

/// A protection of the system that can be switched off.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DefenceShape {
    /// The component that has it.
    pub(super) component: String,
    /// What is safe as long as it is on, one sentence.
    pub(super) protects: String,
}
