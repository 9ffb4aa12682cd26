//! The API as a server of its own, in this process.

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::router;
use crate::registry::Registry;

/// How long requests under way are given to end.
const GRACE: Duration = Duration::from_secs(2);

/// The HTTP API of a registry, served until this is dropped. The proxies go on.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    stop: DropGuard,
    serving: JoinHandle<()>,
}

impl ApiServer {
    /// Serves the API at this address; port 0 for a free one. When this returns it accepts requests.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(registry: Arc<Registry>, listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = axum::serve(listener, router(registry))
            .with_graceful_shutdown(stopped)
            .into_future();
        let serving = tokio::spawn(async move {
            if let Err(error) = serving.await {
                warn!(%error, "the API ended");
            }
        });
        Ok(Self {
            address,
            stop: stop.drop_guard(),
            serving,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What comes in front of every path of the API: `http://127.0.0.1:8474`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening, lets requests under way end for at most two seconds, and closes all connections.
    pub async fn shutdown(self) {
        drop(self.stop);
        let mut serving = self.serving;
        if timeout(GRACE, &mut serving).await.is_err() {
            warn!("requests to the API did not end in time");
            serving.abort();
        }
    }
}
