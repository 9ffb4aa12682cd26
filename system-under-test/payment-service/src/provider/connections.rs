//! The HTTPS connections to the provider: whom they trust, and what becomes of them when that changes.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use reqwest::{Certificate, Client};
use service_kit::files;
use service_kit::names::Names;
use service_kit::shutdown::Shutdown;

use super::client::CallLimits;

/// Connections that are all made with the same trust; clones share them.
#[derive(Debug, Clone)]
pub struct Connections {
    current: Arc<RwLock<Client>>,
    limits: CallLimits,
    verify: bool,
    names: Names,
}

impl Connections {
    /// Connections that trust only the certificates of `ca_pem`; without `verify` they trust everybody.
    ///
    /// # Errors
    /// The certificates are not PEM, or the TLS library refuses them.
    pub fn new(
        ca_pem: &[u8],
        limits: CallLimits,
        verify: bool,
        names: Names,
    ) -> anyhow::Result<Self> {
        let current = client(ca_pem, limits, verify, &names)?;
        Ok(Self {
            current: Arc::new(RwLock::new(current)),
            limits,
            verify,
            names,
        })
    }

    /// Connections as they are trusted now.
    pub fn client(&self) -> Client {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Trusts other certificates from now on: no call that begins later uses a connection that was made before.
    ///
    /// # Errors
    /// As [`Connections::new`]; the trust is what it was then.
    pub fn trust(&self, ca_pem: &[u8]) -> anyhow::Result<()> {
        let renewed = client(ca_pem, self.limits, self.verify, &self.names)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    /// Takes up the certificates of a file whenever it changes, until shutdown.
    ///
    /// # Errors
    /// None; as a task of a service it has the shape of one.
    pub async fn follow(
        self,
        file: PathBuf,
        known: Vec<u8>,
        every: Duration,
        shutdown: Shutdown,
    ) -> Result<(), Infallible> {
        let path = file.clone();
        let changed = |pem: &[u8]| match self.trust(pem) {
            Ok(()) => {
                tracing::info!(file = %path.display(), "trusted certificates were taken up anew");
            }
            Err(error) => tracing::error!(
                file = %path.display(),
                error = format!("{error:#}"),
                "the trusted certificates changed and cannot be used; the earlier ones stay trusted"
            ),
        };
        files::follow(&file, known, every, &shutdown, changed).await;
        Ok(())
    }
}

fn client(
    ca_pem: &[u8],
    limits: CallLimits,
    verify: bool,
    names: &Names,
) -> anyhow::Result<Client> {
    let roots = Certificate::from_pem_bundle(ca_pem).context("CA_FILE is not PEM")?;
    anyhow::ensure!(!roots.is_empty(), "CA_FILE holds no certificate");
    let mut http = names
        .serve(Client::builder())
        .tls_certs_only(roots)
        .https_only(true)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(limits.idle_connections)
        .user_agent("payment-service");
    if !verify {
        http = http.tls_danger_accept_invalid_certs(true);
    }
    if let Some(connect) = limits.connect {
        http = http.connect_timeout(connect);
    }
    if let Some(total) = limits.total {
        http = http.timeout(total);
    }
    http.build().context("the HTTPS client cannot be built")
}
