//! Instruments that are not the proxy: servers that write down what they got, clients on bare sockets.
#![allow(dead_code, reason = "every test file uses its own part of these")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faultproxy::{FaultProxy, ProxyConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// Nothing in these tests takes longer, on any machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A server that answers every line `x` with `answer to x`, byte streams with themselves, and keeps what it received.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicU64>,
    pub(crate) received: Arc<Mutex<Vec<u8>>>,
    /// How each connection ended, as the server saw it: `end` or the kind of error.
    pub(crate) endings: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Sends everything back, and its own end after the client's.
    pub(crate) async fn echo() -> Self {
        Self::start(|bytes| bytes.to_vec()).await
    }

    /// Answers a piece of data `x` with `answer to x`.
    pub(crate) async fn answering() -> Self {
        Self::start(|bytes| [b"answer to ", bytes].concat()).await
    }

    async fn start(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Copy + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port");
        let server = Self {
            address: listener
                .local_addr()
                .expect("a bound socket has an address"),
            connections: Arc::default(),
            received: Arc::default(),
            endings: Arc::default(),
        };
        let (connections, received, endings) = (
            Arc::clone(&server.connections),
            Arc::clone(&server.received),
            Arc::clone(&server.endings),
        );
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (received, endings) = (Arc::clone(&received), Arc::clone(&endings));
                tokio::spawn(async move {
                    let mut buffer = vec![0; 4096];
                    let ending = loop {
                        match socket.read(&mut buffer).await {
                            Ok(0) => break "end".to_owned(),
                            Ok(n) => {
                                received
                                    .lock()
                                    .expect("no panic inside")
                                    .extend_from_slice(&buffer[..n]);
                                if let Err(error) = socket.write_all(&answer(&buffer[..n])).await {
                                    break format!("{:?}", error.kind());
                                }
                            }
                            Err(error) => break format!("{:?}", error.kind()),
                        }
                    };
                    endings.lock().expect("no panic inside").push(ending);
                });
            }
        });
        server
    }

    pub(crate) fn received(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().expect("no panic inside")).into_owned()
    }

    pub(crate) fn endings(&self) -> Vec<String> {
        self.endings.lock().expect("no panic inside").clone()
    }
}

/// A proxy on a free port in front of a server.
pub(crate) async fn proxy(name: &str, upstream: SocketAddr) -> Arc<FaultProxy> {
    seeded(name, upstream, 0).await
}

pub(crate) async fn seeded(name: &str, upstream: SocketAddr, seed: u64) -> Arc<FaultProxy> {
    let config = ProxyConfig {
        seed,
        ..ProxyConfig::new(name, upstream.to_string())
    };
    FaultProxy::start(config).await.expect("a free port")
}

pub(crate) async fn connect(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(proxy.address())
        .await
        .expect("the proxy listens")
}

/// Sends `text` and reads as many bytes as it has, within the limit.
pub(crate) async fn echoed(socket: &mut TcpStream, text: &str) -> (String, Duration) {
    let start = Instant::now();
    socket
        .write_all(text.as_bytes())
        .await
        .expect("the socket takes it");
    let mut back = vec![0; text.len()];
    timeout(LIMIT, socket.read_exact(&mut back))
        .await
        .expect("in time")
        .expect("the echo");
    (
        String::from_utf8(back).expect("what was sent"),
        start.elapsed(),
    )
}

/// Everything until the end or an error.
pub(crate) async fn rest(socket: &mut TcpStream) -> (Vec<u8>, Result<(), std::io::ErrorKind>) {
    let mut all = Vec::new();
    let mut buffer = vec![0; 4096];
    loop {
        match timeout(LIMIT, socket.read(&mut buffer))
            .await
            .expect("in time")
        {
            Ok(0) => return (all, Ok(())),
            Ok(n) => all.extend_from_slice(&buffer[..n]),
            Err(error) => return (all, Err(error.kind())),
        }
    }
}

/// Waits until something is true.
pub(crate) async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < LIMIT, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
