//! One connection: reaches the server, copies both ways until it ends, and ends it the way it is to end.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::pump::Pump;
use super::{Mode, Shared, locked};
use crate::kafka::HostPort;
use crate::kafka::address::Told;
use crate::kafka::session::{Bounds, Session};
use crate::toxic::chain::Chain;
use crate::toxic::{Ending, Stream};

/// What is read at once.
pub(super) const READ_BYTES: usize = 16 * 1024;

/// What the two directions of a connection share.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) shared: &'a Shared,
    pub(super) chain: Mutex<Chain>,
    pub(super) kafka: Option<Mutex<Session>>,
    /// Wakes a direction when the other has changed what it may do.
    pub(super) wake: [Notify; 2],
}

/// Serves one accepted connection to its end.
pub(super) async fn serve(
    client: TcpStream,
    number: u64,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    let _open = Open(&shared);
    let upstream = locked(&shared.upstream).clone();
    let server = tokio::select! {
        () = stop.cancelled() => return,
        server = connect(&upstream, &shared) => server,
    };
    let server = match server {
        Ok(server) => server,
        Err(error) => {
            shared.counters.upstream_failures.add(1);
            debug!(proxy = shared.name, upstream, %error, "the server cannot be reached");
            reset(&client);
            return;
        }
    };
    for socket in [&client, &server] {
        if let Err(error) = socket.set_nodelay(true) {
            debug!(proxy = shared.name, %error, "no TCP_NODELAY");
        }
    }
    copy(client, server, number, &shared, &stop).await;
}

/// Makes the socket's closing a TCP RST, as far as it still can be.
pub(super) fn reset(socket: &TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        debug!(%error, "the socket was gone before its reset");
    }
}

/// Counts a connection as open while it lives.
struct Open<'a>(&'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.counters.open.subtract(1);
    }
}

async fn connect(upstream: &str, shared: &Shared) -> io::Result<TcpStream> {
    timeout(shared.limits.connect_timeout, TcpStream::connect(upstream))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn copy(
    mut client: TcpStream,
    mut server: TcpStream,
    number: u64,
    shared: &Shared,
    stop: &CancellationToken,
) {
    let link = Link {
        shared,
        chain: Mutex::new(Chain::new(shared.seed, number)),
        kafka: kafka_session(&client, number, shared).map(Mutex::new),
        wake: [Notify::new(), Notify::new()],
    };
    let ended = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = Pump::new(&link, Stream::Upstream, from_client, to_server);
        let down = Pump::new(&link, Stream::Downstream, from_server, to_client);
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Ending::Close),
            ended = async { tokio::try_join!(up.run(), down.run()) } => ended.map(|_| ()),
        }
    };
    match ended {
        Ok(()) | Err(Ending::Close) => {}
        Err(Ending::Reset) => {
            reset(&client);
            reset(&server);
        }
        Err(Ending::Drain(time)) => {
            drop(client);
            let until = Instant::now() + time;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(until) => {}
                () = drain(&mut server) => {}
            }
        }
    }
}

fn kafka_session(client: &TcpStream, number: u64, shared: &Shared) -> Option<Session> {
    let Mode::Kafka(settings) = &shared.mode else {
        return None;
    };
    let reached = match client.local_addr() {
        Ok(address) => HostPort {
            host: address.ip().to_string(),
            port: address.port(),
        },
        Err(error) => {
            debug!(proxy = shared.name, %error, "the connection is gone already");
            return None;
        }
    };
    let told = Told {
        settings: settings.clone(),
        reached,
    };
    let limits = &shared.limits;
    let bounds = Bounds {
        frame_bytes: limits.kafka_frame_bytes,
        in_flight: limits.kafka_in_flight,
    };
    Some(Session::new(
        Arc::clone(&shared.rules),
        told,
        bounds,
        shared.seed,
        number,
    ))
}

/// Reads what the server says until it has nothing more to say.
async fn drain(server: &mut TcpStream) {
    let mut swallowed = vec![0; READ_BYTES];
    while matches!(server.read(&mut swallowed).await, Ok(1..)) {}
}
