//! The door of a proxy: open (listening), closed (the port reserved, connects refused) or shut for good.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::{ProxyError, Shared, connection};

/// Connections that wait for being accepted.
const BACKLOG: u32 = 1_024;
/// The pause after a failed accept (no file descriptor left): the reason does not go away at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The state of a proxy's listening address.
#[derive(Debug)]
pub(super) struct Door {
    address: SocketAddr,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The socket holds the port without listening on it: the operating system refuses connects.
    Closed(TcpSocket),
    Open(Open),
    Shut,
}

#[derive(Debug)]
struct Open {
    stop: CancellationToken,
    accepting: JoinHandle<TcpListener>,
    connections: TaskTracker,
}

impl Door {
    /// Takes the address, closed; also says which port it is.
    pub(super) fn reserve(listen: SocketAddr) -> Result<(Self, SocketAddr), ProxyError> {
        let failed = |source| ProxyError::Listen {
            address: listen,
            source,
        };
        let socket = bind(listen).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        // A port that the operating system has chosen is only lent until the socket stops listening; one that was asked
        // for is kept.
        let socket = match listen.port() {
            0 => bind(address).map_err(failed)?,
            _ => socket,
        };
        Ok((
            Self {
                address,
                state: State::Closed(socket),
            },
            address,
        ))
    }

    /// Listens; nothing to do if it already does.
    pub(super) fn open(&mut self, shared: &Arc<Shared>) -> Result<(), ProxyError> {
        let failed = |source| ProxyError::Listen {
            address: self.address,
            source,
        };
        let socket = match std::mem::replace(&mut self.state, State::Shut) {
            State::Closed(socket) => socket,
            State::Open(open) => {
                self.state = State::Open(open);
                return Ok(());
            }
            State::Shut => return Err(ProxyError::ShutDown),
        };
        let listener = match socket.listen(BACKLOG) {
            Ok(listener) => listener,
            Err(error) => {
                self.state = State::Closed(bind(self.address).map_err(failed)?);
                return Err(failed(error));
            }
        };
        let stop = CancellationToken::new();
        let connections = TaskTracker::new();
        let accept = accept(
            listener,
            Arc::clone(shared),
            stop.clone(),
            connections.clone(),
        );
        self.state = State::Open(Open {
            stop,
            accepting: tokio::spawn(accept),
            connections,
        });
        Ok(())
    }

    /// Stops listening and cuts all connections; the port stays taken. Nothing to do if it is closed.
    pub(super) async fn close(&mut self, shared: &Shared) -> Result<(), ProxyError> {
        match std::mem::replace(&mut self.state, State::Shut) {
            State::Shut => return Err(ProxyError::ShutDown),
            State::Closed(socket) => self.state = State::Closed(socket),
            State::Open(open) => {
                shared.counters.cut_by_down.add(shared.counters.open.get());
                open.stop.cancel();
                let listener = stopped(open.accepting, &shared.name).await;
                let reserved = listener.and_then(|listener| stop_listening(listener).ok());
                open.connections.close();
                open.connections.wait().await;
                let failed = |source| ProxyError::Listen {
                    address: self.address,
                    source,
                };
                self.state = State::Closed(match reserved {
                    Some(socket) => socket,
                    None => bind(self.address).map_err(failed)?,
                });
            }
        }
        Ok(())
    }

    /// Ends everything.
    pub(super) async fn shut(&mut self, shared: &Shared) {
        if let State::Open(open) = std::mem::replace(&mut self.state, State::Shut) {
            open.stop.cancel();
            stopped(open.accepting, &shared.name).await;
            open.connections.close();
            open.connections.wait().await;
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let State::Open(open) = &self.state {
            open.stop.cancel();
        }
    }
}

async fn stopped(accepting: JoinHandle<TcpListener>, name: &str) -> Option<TcpListener> {
    accepting
        .await
        .inspect_err(|error| warn!(proxy = name, %error, "the accept loop ended badly"))
        .ok()
}

/// The socket refuses connects from now on and keeps its port. It is not closed and bound anew: a child that this process
/// has forked and that does not run its own program yet holds a copy, and as long as a copy listens the port is taken.
fn stop_listening(listener: TcpListener) -> io::Result<TcpSocket> {
    let socket = std::net::TcpStream::from(OwnedFd::from(listener.into_std()?));
    socket.shutdown(Shutdown::Both)?;
    Ok(TcpSocket::from_std_stream(socket))
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: CancellationToken,
    connections: TaskTracker,
) -> TcpListener {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return listener,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((client, _)) => admit(client, &shared, &stop, &connections),
            Err(error) => {
                debug!(proxy = shared.name, %error, "accept failed");
                tokio::select! {
                    () = stop.cancelled() => return listener,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}

fn admit(
    client: TcpStream,
    shared: &Arc<Shared>,
    stop: &CancellationToken,
    connections: &TaskTracker,
) {
    let counters = &shared.counters;
    if counters.open.get() >= shared.limits.max_connections as u64 {
        counters.refused.add(1);
        warn!(
            proxy = shared.name,
            limit = shared.limits.max_connections,
            "too many connections: one is refused"
        );
        connection::reset(&client);
        return;
    }
    counters.accepted.add(1);
    counters.open.add(1);
    let number = counters.accepted.get();
    connections.spawn(connection::serve(
        client,
        number,
        Arc::clone(shared),
        stop.clone(),
    ));
}
