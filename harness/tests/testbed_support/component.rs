//! A component for topologies of tests: a real HTTP server, which is the test's own binary in another role.
#![allow(clippy::print_stdout, clippy::print_stderr)] // what it prints is its log

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
};

/// The command that starts it, for a topology. The test's file must have a test `acting_as_a_component` that calls
/// [`serve_if_asked`].
pub(crate) fn command() -> String {
    let program = std::env::current_exe().expect("the test's own path");
    format!(
        "[{:?}, \"--exact\", \"acting_as_a_component\", \"--nocapture\"]",
        program.display().to_string()
    )
}

#[allow(clippy::zombie_processes)] // its child is to outlive it, if it can
/// Serves until SIGTERM where a testbed has started this process; returns at once where a person has.
pub(crate) fn serve_if_asked() {
    let Ok(address) = std::env::var("COMPONENT_LISTEN") else {
        return;
    };
    if std::env::var("COMPONENT_FAILS").is_ok() {
        eprintln!("cannot read the configuration");
        std::process::exit(78);
    }
    if std::env::var("COMPONENT_CHILD").is_ok() {
        let child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .expect("a child");
        println!("child {}", child.id());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).expect("a handler");
        tokio::select! {
            () = serve(&address) => {}
            _ = terminate.recv() => {}
        }
    });
}

async fn serve(address: &str) {
    let listener = TcpListener::bind(address)
        .await
        .expect("the port is reserved for us");
    println!("listening on {address}");
    loop {
        let (connection, _) = listener.accept().await.expect("accepted");
        tokio::spawn(answer(connection));
    }
}

async fn answer(mut connection: TcpStream) {
    let mut request = vec![0; 4096];
    let length = connection.read(&mut request).await.unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = request.split_whitespace().nth(1).unwrap_or_default();
    let (status, body) = respond(path).await;
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(answer.as_bytes()).await.ok();
}

async fn respond(path: &str) -> (&'static str, String) {
    if path == "/ready" {
        return match std::env::var("COMPONENT_NEVER_READY") {
            Ok(reason) => ("503 Service Unavailable", reason),
            Err(_) => ("200 OK", "ready".to_owned()),
        };
    }
    if path == "/environment" {
        let lines: Vec<String> = std::env::vars()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        return ("200 OK", lines.join("\n"));
    }
    if let Some(code) = path.strip_prefix("/exit/") {
        std::process::exit(code.parse().unwrap_or(1));
    }
    // Asks another component for its readiness, through whatever address the setting names.
    if let Some(setting) = path.strip_prefix("/ask/") {
        let addresses = std::env::var(setting).unwrap_or_default();
        let mut answers = Vec::new();
        for address in addresses.split(',') {
            let asked = match address.parse() {
                Ok(address) => get(address, "/ready").await,
                Err(_) => None,
            };
            answers.push(asked.map_or("nothing".to_owned(), |(_, body)| body));
        }
        return ("200 OK", answers.join(","));
    }
    ("404 Not Found", String::new())
}

/// A GET; nothing where there was no answer.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let asked = async {
        let mut connection = TcpStream::connect(address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        connection.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((
            head.split_whitespace().nth(1)?.parse().ok()?,
            body.to_owned(),
        ))
    };
    tokio::time::timeout(Duration::from_secs(5), asked)
        .await
        .ok()
        .flatten()
}
