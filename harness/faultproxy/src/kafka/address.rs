//! Which addresses clients are told.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A host name or IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    /// The host, without brackets around an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A text that is not `host:port`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not host:port")]
pub struct BadAddress(String);

/// How a proxy in Kafka mode tells its address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// What clients are told instead of a broker's address. `None`: the address at which the client reached the proxy.
    /// To be set where something stands in front of this proxy, or where it listens behind an address translation.
    pub advertise: Option<HostPort>,
    /// For clusters of several brokers, of which each needs a proxy of its own: what to tell for each node id. Nodes
    /// that are not named get `advertise`.
    pub nodes: BTreeMap<i32, HostPort>,
}

impl FromStr for HostPort {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let port = port.parse().map_err(|_| bad())?;
        if host.is_empty() || host.len() > 255 {
            return Err(bad());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl TryFrom<String> for HostPort {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(address: HostPort) -> Self {
        address.to_string()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What one connection is told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) settings: KafkaSettings,
    /// Where the client reached the proxy.
    pub(crate) reached: HostPort,
}

impl Told {
    /// The address for this node id.
    pub(crate) fn address(&self, node: i32) -> &HostPort {
        self.settings
            .nodes
            .get(&node)
            .or(self.settings.advertise.as_ref())
            .unwrap_or(&self.reached)
    }
}
