//! How customers find out where names are: each asks anew, as people on different machines do.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::client::ClientError;

/// How often a question is asked again before it counts as unanswered.
const REPETITIONS: usize = 1;
/// The part of a customer's patience that one question takes: all of them leave time to say that nothing was sent.
const PATIENCE_PARTS: u32 = 4;

/// Asks one name server.
#[derive(Clone)]
pub(super) struct CustomersNames(TokioResolver);

impl CustomersNames {
    /// Asks the server at `name_server`, for a part of `patience` only.
    pub(super) fn asking(name_server: SocketAddr, patience: Duration) -> Result<Self, ClientError> {
        let at = |mut connection: ConnectionConfig| {
            connection.port = name_server.port();
            connection
        };
        let server = NameServerConfig::new(
            name_server.ip(),
            true,
            vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())],
        );
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4Only;
        options.cache_size = 0;
        options.attempts = REPETITIONS;
        options.timeout = patience / PATIENCE_PARTS;
        let resolver = builder.build();
        resolver
            .map(Self)
            .map_err(|error| ClientError::Names(Box::new(error)))
    }
}

impl Resolve for CustomersNames {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            let found = resolver.lookup_ip(name.as_str()).await?;
            let addresses: Vec<IpAddr> = found.iter().collect();
            let addresses = addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
