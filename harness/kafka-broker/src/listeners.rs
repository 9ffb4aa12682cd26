//! Listeners: one per service, each with its own advertised address, taken down and brought back one by one.

use crate::cluster::Cluster;
use crate::connection::{Ended, serve};
use crate::error::BrokerError;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections that the operating system may queue for a listener.
const BACKLOG: u32 = 1024;
/// Pause after a failed accept, so that a lack of file descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The address that clients of a listener are told to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Address {
    /// An address from its parts.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip().to_string(), address.port())
    }
}

/// One listener of the broker; cheap to clone, and the broker keeps it alive.
#[derive(Clone, Debug)]
pub struct Listener {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    address: SocketAddr,
    advertised: Mutex<Address>,
    requests: AtomicU64,
    connections: AtomicU64,
    open: Semaphore,
    /// Holds the port while the listener is down; never listens itself.
    _port: TcpSocket,
    up: tokio::sync::Mutex<Option<Up>>,
}

/// The tasks of a listener that is up.
#[derive(Debug)]
struct Up {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Listener {
    /// The name it was created with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The port it listens on; it stays the same through down and up.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.shared.address.port()
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// What clients are told to connect to.
    #[must_use]
    pub fn advertised(&self) -> Address {
        self.lock_advertised().clone()
    }

    /// Tells clients another address from now on, such as that of a proxy in front of this listener.
    pub fn advertise(&self, address: Address) {
        *self.lock_advertised() = address;
    }

    /// Requests read from its connections so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn count_request(&self) {
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
    }

    fn lock_advertised(&self) -> MutexGuard<'_, Address> {
        self.shared
            .advertised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds the port for good; `bring_up` then listens on it.
    fn bind(
        name: &str,
        at: SocketAddr,
        advertised: Option<Address>,
        max_connections: usize,
    ) -> Result<Self, BrokerError> {
        let refused = |source| BrokerError::Bind {
            address: at,
            source,
        };
        let port = reusable_socket(at).map_err(refused)?;
        let address = port.local_addr().map_err(refused)?;
        let shared = Shared {
            name: name.to_owned(),
            address,
            advertised: Mutex::new(advertised.unwrap_or_else(|| address.into())),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            open: Semaphore::new(max_connections),
            _port: port,
            up: tokio::sync::Mutex::new(None),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Listens and serves; does nothing if it is up already.
    pub(crate) async fn bring_up(&self, cluster: &Arc<Cluster>) -> Result<(), BrokerError> {
        let mut up = self.shared.up.lock().await;
        if cluster.stop.is_cancelled() {
            return Err(BrokerError::ShutDown);
        }
        if up.is_some() {
            return Ok(());
        }
        let address = self.shared.address;
        let socket = reusable_socket(address)
            .and_then(|socket| socket.listen(BACKLOG))
            .map_err(|source| BrokerError::Bind { address, source })?;
        let running = Up {
            stop: cluster.stop.child_token(),
            tasks: TaskTracker::new(),
        };
        let accepting = accept(
            socket,
            self.clone(),
            cluster.clone(),
            running.stop.clone(),
            running.tasks.clone(),
        );
        running.tasks.spawn(cluster.tasks.track_future(accepting));
        *up = Some(running);
        Ok(())
    }

    /// Stops listening and closes every connection; when this returns nothing of it is left.
    pub(crate) async fn take_down(&self) {
        let mut up = self.shared.up.lock().await;
        if let Some(running) = up.take() {
            running.stop.cancel();
            running.tasks.close();
            running.tasks.wait().await;
        }
    }
}

/// A socket bound to `address` that another one may share as long as only one of them listens.
fn reusable_socket(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts connections until stopped; each is served by a task of its own.
async fn accept(
    socket: TcpListener,
    listener: Listener,
    cluster: Arc<Cluster>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a client that left again: neither ends the listener.
                tracing::warn!(listener = listener.name(), %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        listener.shared.connections.fetch_add(1, Ordering::Relaxed);
        let connection = serve_one(
            cluster.clone(),
            listener.clone(),
            stream,
            peer,
            stop.clone(),
        );
        tasks.spawn(cluster.tasks.track_future(connection));
    }
}

async fn serve_one(
    cluster: Arc<Cluster>,
    listener: Listener,
    stream: TcpStream,
    peer: SocketAddr,
    stop: CancellationToken,
) {
    let Ok(_permit) = listener.shared.open.try_acquire() else {
        tracing::warn!(listener = listener.name(), %peer, "connection closed: the listener has too many");
        return;
    };
    let ended = tokio::select! {
        () = stop.cancelled() => return,
        ended = serve(&cluster, &listener, stream, peer) => ended,
    };
    match ended {
        Ended::Hostile(reason) => {
            tracing::warn!(listener = listener.name(), %peer, %reason, "connection closed: not a request that this broker answers");
        }
        Ended::Defect(reason) => {
            tracing::error!(listener = listener.name(), %peer, %reason, "connection closed: the broker could not answer");
        }
        Ended::Quiet(reason) => {
            tracing::debug!(listener = listener.name(), %peer, %reason, "connection closed");
        }
    }
}

/// All listeners of a broker, in the order of their creation.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    all: Mutex<Vec<Listener>>,
}

impl Listeners {
    /// Binds a further listener; it is not up yet.
    pub(crate) fn add(
        &self,
        name: &str,
        at: SocketAddr,
        advertised: Option<Address>,
        max_connections: usize,
    ) -> Result<Listener, BrokerError> {
        let mut all = self.lock();
        if all.iter().any(|listener| listener.name() == name) {
            return Err(BrokerError::ListenerExists(name.to_owned()));
        }
        let listener = Listener::bind(name, at, advertised, max_connections)?;
        all.push(listener.clone());
        Ok(listener)
    }

    pub(crate) fn all(&self) -> Vec<Listener> {
        self.lock().clone()
    }

    /// The listener of this name, or all of them.
    pub(crate) fn named(&self, name: Option<&str>) -> Result<Vec<Listener>, BrokerError> {
        let Some(name) = name else {
            return Ok(self.all());
        };
        let found = self
            .lock()
            .iter()
            .find(|listener| listener.name() == name)
            .cloned();
        Ok(vec![found.ok_or_else(|| {
            BrokerError::UnknownListener(name.to_owned())
        })?])
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
