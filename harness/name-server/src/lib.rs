//! A DNS server in this process, for one client: what a drill's services and customers ask where others are.
//!
//! It is a test double, never a product. It speaks DNS over UDP, TCP and, for browsers, HTTPS (`hickory-server`). It knows the
//! names that its owner tells it and no others; every one of them can be made unknown, fail, or stay without an answer, and
//! what was answered is counted. Each client has a server of its own, so that what one is told spares the others.
//!
//! * `book`: what is answered about a name, and how often it was
//! * `answering`: the book as answers in DNS's own words

mod answering;
mod book;

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hickory_server::Server;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use answering::Answering;
use book::Book;
pub use book::{Answer, Asked};

/// Where questions over HTTPS are sent to, as RFC 8484 has it in its examples.
pub const HTTPS_PATH: &str = "/dns-query";
/// A connection on which nobody asks is closed after this time.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// Answers that wait for a slow reader, each connection.
const ANSWERS_WAITING: usize = 32;
/// How long questions that are being answered may take when the server ends.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum NameServerError {
    /// The address cannot be listened on.
    #[error("listening for questions about names on {address} ({transport}): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `udp`, `tcp` or `https`.
        transport: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate for questions over HTTPS cannot be used.
    #[error("the name server's certificate: {0}")]
    Certificate(String),
}

/// Who a server over HTTPS shows itself to be, PEM.
#[derive(Clone)]
pub struct ServerIdentity {
    /// Its certificate, with those between it and the authority.
    pub certificate_pem: String,
    /// Its private key.
    pub private_key_pem: String,
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ServerIdentity")
    }
}

/// A running server. Dropping it ends it.
pub struct NameServer {
    address: SocketAddr,
    book: Arc<Book>,
    /// None once it has been stopped.
    server: Mutex<Option<Server<Answering>>>,
    /// Ends questions that stay without an answer.
    stop: CancellationToken,
}

impl fmt::Debug for NameServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("NameServer");
        shown
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl NameServer {
    /// Listens over UDP and TCP at `address`. Answers may be kept for `time_to_live`, in whole seconds. When this returns
    /// it answers.
    ///
    /// # Errors
    /// [`NameServerError::Listen`].
    pub async fn start(
        address: SocketAddr,
        time_to_live: Duration,
    ) -> Result<Self, NameServerError> {
        let refused = |transport| {
            move |source| NameServerError::Listen {
                address,
                transport,
                source,
            }
        };
        let tcp = TcpListener::bind(address).await.map_err(refused("tcp"))?;
        let address = tcp.local_addr().map_err(refused("tcp"))?;
        let udp = UdpSocket::bind(address).await.map_err(refused("udp"))?;
        let book = Arc::new(Book::new());
        let stop = CancellationToken::new();
        let answering = Answering::new(Arc::clone(&book), time_to_live, stop.clone());
        let mut server = Server::new(answering);
        server.register_socket(udp);
        server.register_listener(tcp, IDLE_LIMIT, ANSWERS_WAITING);
        Ok(Self {
            address,
            book,
            server: Mutex::new(Some(server)),
            stop,
        })
    }

    /// Listens over HTTPS too, at another address and under [`HTTPS_PATH`]. Says at which one.
    ///
    /// # Errors
    /// [`NameServerError`]; also when the server has been stopped.
    pub async fn listen_https(
        &self,
        address: SocketAddr,
        identity: &ServerIdentity,
    ) -> Result<SocketAddr, NameServerError> {
        let refused = |source| NameServerError::Listen {
            address,
            transport: "https",
            source,
        };
        let certificate = certified(identity)?;
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        let mut server = self.locked();
        let Some(server) = server.as_mut() else {
            return Err(refused(io::Error::other("the server has been stopped")));
        };
        let path = HTTPS_PATH.to_owned();
        server
            .register_https_listener(listener, IDLE_LIMIT, certificate, None, path)
            .map_err(refused)?;
        Ok(bound)
    }

    /// Where it listens over UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the name is at this address. Names are compared without regard to case.
    pub fn place(&self, name: &str, address: Ipv4Addr) {
        self.book.place(name, address);
    }

    /// Where the name is, whatever is answered about it.
    #[must_use]
    pub fn address_of(&self, name: &str) -> Option<Ipv4Addr> {
        self.book.address_of(name)
    }

    /// From now on questions about the name are answered so.
    pub fn answer(&self, name: &str, answer: Answer) {
        self.book.answer(name, answer);
    }

    /// How often the name's address has been asked for, by what was answered.
    #[must_use]
    pub fn asked(&self, name: &str) -> Asked {
        self.book.asked(name)
    }

    /// Ends it: no task and no socket is left. Questions that are being answered have two seconds.
    pub async fn shutdown(&self) {
        let server = self.locked().take();
        if let Some(mut server) = server {
            self.stop.cancel();
            let ended = tokio::time::timeout(STOP_LIMIT, server.shutdown_gracefully()).await;
            if let Ok(Err(error)) = ended {
                tracing::debug!(address = %self.address, %error, "a name server did not end well");
            }
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<Server<Answering>>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn certified(identity: &ServerIdentity) -> Result<Arc<dyn ResolvesServerCert>, NameServerError> {
    let failed = |error: &dyn fmt::Display| NameServerError::Certificate(error.to_string());
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::from_pem_slice(identity.private_key_pem.as_bytes())
        .map_err(|error| failed(&error))?;
    let provider = rustls::crypto::ring::default_provider();
    let certified =
        CertifiedKey::from_der(chain, key, &provider).map_err(|error| failed(&error))?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}
