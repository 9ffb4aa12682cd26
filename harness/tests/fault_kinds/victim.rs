//! A process to be hurt: serves health, fail-points and a little work. It is this test program, started in another role.

use std::{net::SocketAddr, process::Command, time::Duration};

use axum::{Router, http::StatusCode, routing};
use service_kit::{fail_point, health::Health, http::operations, metrics::Metrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Set for the process that is to serve; says where.
const ROLE: &str = "FIREDRILL_TEST_VICTIM";
/// The moment in its work at which it can be hurt.
pub(crate) const POINT: &str = "victim.in-the-middle";

/// A command that starts a victim at an address.
pub(crate) fn command(address: SocketAddr) -> Command {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command
        .args([
            "--exact",
            "victim::serves_when_it_is_asked_to",
            "--nocapture",
        ])
        .env(ROLE, address.to_string());
    command
}

/// In the test run this does nothing; in a victim it serves until it is killed.
#[test]
fn serves_when_it_is_asked_to() {
    let Some(address) = std::env::var_os(ROLE) else {
        return;
    };
    let address: SocketAddr = address.to_str().expect("text").parse().expect("an address");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        fail_point::register(&[POINT]);
        let health = Health::default();
        health.mark_started();
        let work = Router::new().route("/work", routing::get(work));
        let routes = operations::routes(health, Metrics::default(), true).merge(work);
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .expect("the port is free");
        axum::serve(listener, routes).await.expect("it serves");
    });
}

async fn work() -> StatusCode {
    match fail_point::pass(POINT).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The status that a GET is answered with; none when there is no answer within a second.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Option<u16> {
    let question = async {
        let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: victim\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    };
    tokio::time::timeout(Duration::from_secs(1), question)
        .await
        .ok()?
}
