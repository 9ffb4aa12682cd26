//! HTTPS connections to a system that is not ours: whom they trust, and what becomes of them when that changes.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::{Certificate, Client};

use crate::files;
use crate::names::Names;
use crate::shutdown::Shutdown;

/// Who calls, and under what conditions.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The program, as the other side is told.
    pub caller: &'static str,
    /// How long calls may take.
    pub limits: CallLimits,
    /// Nobody is called whose certificate does not descend from a trusted one; otherwise everybody is believed.
    pub verify: bool,
    /// Where names are looked up.
    pub names: Names,
}

/// How long calls may take; `None` for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Until the connection stands.
    pub connect: Option<Duration>,
    /// In all.
    pub total: Option<Duration>,
    /// Idle connections that are kept.
    pub idle_connections: usize,
}

/// What is to be trusted cannot be.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read as certificates.
    #[error("it is not PEM: {0}")]
    NotPem(#[source] reqwest::Error),
    /// There is nothing in it.
    #[error("it holds no certificate")]
    Empty,
    /// The TLS library refuses it.
    #[error("no HTTPS client can be made with it: {0}")]
    Refused(#[source] reqwest::Error),
}

/// Connections that are all made with the same trust; clones share them.
#[derive(Debug, Clone)]
pub struct Connections {
    current: Arc<RwLock<Client>>,
    terms: Terms,
}

impl Connections {
    /// Connections that trust only the certificates of `ca_pem`.
    ///
    /// # Errors
    /// The certificates are not PEM, or the TLS library refuses them.
    pub fn new(ca_pem: &[u8], terms: Terms) -> Result<Self, TrustError> {
        let current = Arc::new(RwLock::new(client(ca_pem, &terms)?));
        Ok(Self { current, terms })
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
    pub fn trust(&self, ca_pem: &[u8]) -> Result<(), TrustError> {
        let renewed = client(ca_pem, &self.terms)?;
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
                %error,
                "the trusted certificates changed and cannot be used; the earlier ones stay trusted"
            ),
        };
        files::follow(&file, known, every, &shutdown, changed).await;
        Ok(())
    }
}

fn client(ca_pem: &[u8], terms: &Terms) -> Result<Client, TrustError> {
    let Terms {
        caller,
        limits,
        verify,
        names,
    } = terms;
    let roots = Certificate::from_pem_bundle(ca_pem).map_err(TrustError::NotPem)?;
    if roots.is_empty() {
        return Err(TrustError::Empty);
    }
    let mut http = names
        .serve(Client::builder())
        .tls_certs_only(roots)
        .https_only(true)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(limits.idle_connections)
        .user_agent(*caller);
    if !*verify {
        http = http.tls_danger_accept_invalid_certs(true);
    }
    if let Some(connect) = limits.connect {
        http = http.connect_timeout(connect);
    }
    if let Some(total) = limits.total {
        http = http.timeout(total);
    }
    http.build().map_err(TrustError::Refused)
}
