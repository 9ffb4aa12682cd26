//! Real proxies behind their real HTTP API, and small servers to put behind them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, routing};
use faultproxy::{KafkaSettings, Registry, registry::Wanted};
use firedrill::{testbed::LinkProxy, topology::Protocol};

/// The proxies of one test.
pub(crate) struct Proxies {
    registry: Arc<Registry>,
    api_url: String,
}

/// A link, and where its client connects.
pub(crate) struct Wire {
    pub(crate) link: LinkProxy,
    pub(crate) entry: SocketAddr,
}

impl Proxies {
    pub(crate) async fn start() -> Self {
        let registry = Arc::new(Registry::default());
        let address = serve(faultproxy::api::router(Arc::clone(&registry))).await;
        Self {
            registry,
            api_url: format!("http://{address}"),
        }
    }

    /// A link between two instances.
    pub(crate) async fn link(
        &self,
        client: &str,
        server: &str,
        upstream: SocketAddr,
        protocol: Protocol,
    ) -> Wire {
        let name = format!("{client}->{server}");
        let wanted = Wanted {
            name: name.clone(),
            upstream: upstream.to_string(),
            kafka: (protocol == Protocol::Kafka).then(KafkaSettings::default),
            seed: Some(1),
            ..Wanted::default()
        };
        let proxy = self.registry.create(wanted).await.expect("a proxy");
        Wire {
            entry: proxy.address(),
            link: LinkProxy {
                name,
                client: client.to_owned(),
                server: server.to_owned(),
                api_url: self.api_url.clone(),
                protocol,
            },
        }
    }
}

/// A server that counts what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Counting {
    asked: Arc<AtomicU64>,
}

impl Counting {
    /// Serves `/work` and takes `/orders`; both are counted.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let asked = Arc::clone(&self.asked);
        let work = move || {
            asked.fetch_add(1, Ordering::AcqRel);
            async { "done, and it took quite a few words to say so" }
        };
        let routes = Router::new()
            .route("/work", routing::get(work.clone()))
            .route("/orders", routing::post(work));
        serve(routes).await
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }
}

async fn serve(routes: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}
