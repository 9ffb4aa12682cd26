//! A stand-in for an order instance, on bare TCP: it answers, hangs, or cuts the connection after it read a request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the instance does with the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers 201 (200 to a probe).
    Well,
    /// Reads the request, then cuts the connection.
    Cutting,
    /// Knows no path: answers 404 (200 to a probe).
    Strange,
    /// Reads the request and says nothing.
    Hanging,
    /// Answers with this status (200 to a probe).
    Failing(u16),
    /// Says that it is not ready: 503 to everything.
    Unready,
}

/// A request as it arrived: its head in lower case, and its body.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A running stand-in.
pub(crate) struct Instance {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<(Mood, Vec<Seen>)>>,
}

impl Instance {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(Mutex::new((mood, Vec::new())));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, shared.clone()));
            }
        });
        Self { address, state }
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.state.lock().expect("not poisoned").0 = mood;
    }

    /// How many probes arrived.
    pub(crate) fn probed(&self) -> usize {
        let all = &self.state.lock().expect("not poisoned").1;
        all.iter()
            .filter(|seen| seen.head.contains("/health/"))
            .count()
    }

    /// The requests that arrived, without probes and questions for routes.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = self.state.lock().expect("not poisoned").1.clone();
        seen.into_iter()
            .filter(|seen| !seen.head.contains("/health/") && !seen.head.starts_with("options "))
            .collect()
    }
}

async fn serve(mut connection: TcpStream, state: Arc<Mutex<(Mood, Vec<Seen>)>>) {
    while let Some(seen) = read(&mut connection).await {
        let is_health = seen.head.contains("/health/");
        let is_probe = is_health || seen.head.starts_with("options ");
        let mood = {
            let mut state = state.lock().expect("not poisoned");
            state.1.push(seen);
            state.0
        };
        let status = match mood {
            Mood::Well if is_probe => 200,
            Mood::Well => 201,
            Mood::Failing(_) if is_probe => 200,
            Mood::Failing(status) => status,
            Mood::Strange if is_health => 200,
            Mood::Strange => 404,
            Mood::Unready => 503,
            Mood::Cutting => return,
            Mood::Hanging => std::future::pending().await,
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        if connection.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(connection: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let mut chunk = [0; 4096];
        let count = connection
            .read(&mut chunk)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
    };
    let body = bytes.split_off(head_end);
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let mut seen = Seen { head, body };
    let length = seen
        .header("content-length")
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    while seen.body.len() < length {
        let mut chunk = [0; 4096];
        let count = connection
            .read(&mut chunk)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        seen.body.extend_from_slice(&chunk[..count]);
    }
    Some(seen)
}
