//! Where others are: names are looked up at one DNS server, and what it answers is kept no longer than it allows.
//!
//! Connections to PostgreSQL and Kafka do not come here: their libraries ask the system.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::settings::Settings;

/// How often a question is asked again before it counts as unanswered.
const REPETITIONS: usize = 1;
/// Names that are kept in memory.
const NAMES_KEPT: u64 = 64;

/// What could not be looked up.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A host and a port to connect to: `order-service-1.example:8080`, `127.0.0.1:8080`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "not a host and a port such as 127.0.0.1:8080";
        let (host, port) = text.rsplit_once(':').ok_or(SHAPE)?;
        let is_address = text.parse::<SocketAddr>().is_ok();
        let is_name = host.len() <= 253
            && host.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            });
        if !is_address && !is_name {
            return Err(SHAPE);
        }
        Ok(Self {
            host: host.to_owned(),
            port: port.parse().map_err(|_| SHAPE)?,
        })
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        let text = address.to_string();
        let host = text.rsplit_once(':').map_or("", |(host, _)| host);
        Self {
            host: host.to_owned(),
            port: address.port(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

/// Who is asked where names are.
#[derive(Clone)]
enum Source {
    /// One DNS server; its answers are kept as long as it allows.
    Server(Arc<TokioResolver>),
    /// Whatever the system asks, which keeps nothing.
    System,
}

/// What was answered first, by name.
type FirstAnswers = Mutex<HashMap<String, Vec<IpAddr>>>;

/// Looks names up; clones share what they keep.
#[derive(Clone)]
pub struct Names {
    source: Source,
    /// What was answered first, where that is kept for ever.
    first: Option<Arc<FirstAnswers>>,
}

impl fmt::Debug for Names {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Server(_) => "server",
            Source::System => "system",
        };
        let mut shown = out.debug_struct("Names");
        shown.field("source", &source);
        shown.field("for_ever", &self.first.is_some()).finish()
    }
}

impl Names {
    /// Looks names up as the system does.
    pub fn of_system() -> Self {
        Self {
            source: Source::System,
            first: None,
        }
    }

    /// Reads who is asked: `NAME_SERVER`, else the system; and how long one question may take.
    pub fn read(settings: &mut Settings) -> Self {
        settings.in_group("Names", Self::read_all)
    }

    fn read_all(settings: &mut Settings) -> Self {
        let server = settings.address(
            "NAME_SERVER",
            "the DNS server, UDP and TCP, that is asked; the system is, without it",
        );
        let limit = settings.duration_ms("NAME_LIMIT_MS", 1_000, "how long one question may take");
        let Some(server) = server else {
            return Self::of_system();
        };
        match resolver(server, limit) {
            Ok(resolver) => Self {
                source: Source::Server(Arc::new(resolver)),
                first: None,
            },
            Err(error) => {
                settings.problem("NAME_SERVER", error);
                Self::of_system()
            }
        }
    }

    /// Keeps every first answer for ever, whatever becomes of the name: what a client does that ignores how long answers
    /// are good for.
    #[must_use]
    pub fn kept_for_ever(self) -> Self {
        Self {
            first: Some(Arc::default()),
            ..self
        }
    }

    /// Lets an HTTP client look names up here.
    pub fn serve(&self, client: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        client.dns_resolver(self.clone())
    }

    /// Where a name is, at least one address.
    ///
    /// # Errors
    /// There is no such name, or nobody answers.
    pub async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        if let Some(addresses) = self.kept(name) {
            return Ok(addresses);
        }
        let addresses = self.ask(name).await?;
        if let Some(first) = &self.first {
            let mut kept = first.lock().unwrap_or_else(PoisonError::into_inner);
            kept.entry(name.to_owned()).or_insert(addresses.clone());
        }
        Ok(addresses)
    }

    fn kept(&self, name: &str) -> Option<Vec<IpAddr>> {
        let first = self.first.as_ref()?;
        let kept = first.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(name).cloned()
    }

    async fn ask(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        match &self.source {
            Source::Server(resolver) => Ok(resolver.lookup_ip(name).await?.iter().collect()),
            Source::System => {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            }
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let addresses = names.look_up(name.as_str()).await?;
            let addresses = addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

fn resolver(server: SocketAddr, limit: Duration) -> Result<TokioResolver, Failure> {
    let at = |mut connection: ConnectionConfig| {
        connection.port = server.port();
        connection
    };
    let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
    let server = NameServerConfig::new(server.ip(), true, connections);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let provider = TokioRuntimeProvider::default();
    let mut builder = TokioResolver::builder_with_config(config, provider);
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4Only;
    options.cache_size = NAMES_KEPT;
    options.attempts = REPETITIONS;
    options.timeout = limit;
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for good in ["127.0.0.1:80", "[::1]:80", "a:1", "order-1.shop.test:8080"] {
            let endpoint = good.parse::<Endpoint>();
            assert_eq!(
                endpoint.map(|endpoint| endpoint.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in [
            "", "a", "a:", ":80", "a:x", "a:70000", "a..b:1", "a b:1", "::1:80",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        assert_eq!(Endpoint::from(address).to_string(), "127.0.0.1:80");
    }
}
