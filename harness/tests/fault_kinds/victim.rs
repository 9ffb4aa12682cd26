//! A process to be hurt: serves health, fail-points and a little work. It is this test program, started in another role.

use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use axum::{Router, http::StatusCode, routing};
use service_kit::{
    database::DatabaseSettings,
    fail_point,
    health::Health,
    http::{TlsFiles, operations},
    metrics::Metrics,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Set for the process that is to serve; says where.
const ROLE: &str = "FIREDRILL_TEST_VICTIM";
/// The moment in its work at which it can be hurt.
pub(crate) const POINT: &str = "victim.in-the-middle";

/// Set for the process that is to show a certificate; says whether it looks for another one while it runs.
const RELOADS: &str = "FIREDRILL_TEST_RELOADS";

/// Set for the process that is to log in to a database; says whether it follows a password that changes.
const FOLLOWS: &str = "FIREDRILL_TEST_FOLLOWS";

/// What a victim does besides.
pub(crate) enum Role {
    Plain,
    Tls(TlsRole),
    Database(DatabaseRole),
}

/// A victim that shows a certificate as well.
pub(crate) struct TlsRole {
    pub(crate) listen: SocketAddr,
    pub(crate) certificate: PathBuf,
    pub(crate) private_key: PathBuf,
    /// It looks for another certificate while it runs, not only when it is started.
    pub(crate) reloads: bool,
}

/// A victim that is ready as long as it can log in to a database.
pub(crate) struct DatabaseRole {
    pub(crate) url: String,
    pub(crate) password_file: PathBuf,
    /// It takes up a password that changes in the file.
    pub(crate) follows_password: bool,
}

/// A command that starts a victim at an address.
pub(crate) fn command(address: SocketAddr, role: &Role) -> Command {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command
        .args([
            "--exact",
            "victim::serves_when_it_is_asked_to",
            "--nocapture",
        ])
        .env(ROLE, address.to_string());
    match role {
        Role::Plain => {}
        Role::Tls(tls) => {
            command
                .env(RELOADS, tls.reloads.to_string())
                .env("LISTEN_PUBLIC", tls.listen.to_string())
                .env("CERTIFICATE_FILE", &tls.certificate)
                .env("PRIVATE_KEY_FILE", &tls.private_key);
        }
        Role::Database(database) => {
            command
                .env(FOLLOWS, database.follows_password.to_string())
                .env("DATABASE_URL", &database.url)
                .env("DATABASE_PASSWORD_FILE", &database.password_file);
        }
    }
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
        if let Ok(follows) = std::env::var(FOLLOWS) {
            return serve_with_database(address, follows == "true").await;
        }
        fail_point::register(&[POINT]);
        let health = Health::default();
        health.mark_started();
        if let Ok(reloads) = std::env::var(RELOADS) {
            serve_tls(reloads == "true").await;
        }
        let work = Router::new().route("/work", routing::get(work));
        let routes = operations::routes(health, Metrics::default(), true).merge(work);
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .expect("the port is free");
        axum::serve(listener, routes).await.expect("it serves");
    });
}

fn setting(name: &str) -> String {
    std::env::var(name).expect("its role says so")
}

async fn serve_with_database(address: SocketAddr, follows_password: bool) {
    let settings = [
        ("LISTEN_HTTP", address.to_string()),
        ("DATABASE_URL", setting("DATABASE_URL")),
        ("DATABASE_PASSWORD_FILE", setting("DATABASE_PASSWORD_FILE")),
        ("DATABASE_PASSWORD_RELOAD_MS", "20".to_owned()),
    ];
    let settings = settings
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let _serving = service_testing::start(
        "victim",
        &settings,
        DatabaseSettings::read,
        |mut database, service| async move {
            database.follows_password = follows_password;
            database.open(&service);
            service.serve_http(Router::new()).map(drop)
        },
    )
    .await;
    std::future::pending().await
}

async fn serve_tls(reloads: bool) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings =
        ["LISTEN_PUBLIC", "CERTIFICATE_FILE", "PRIVATE_KEY_FILE"].map(|name| (name, setting(name)));
    let settings = settings
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    service_testing::start(
        "victim",
        &settings,
        TlsFiles::read,
        |mut files, service| async move {
            files.reload_every = reloads.then_some(Duration::from_millis(20));
            let routes = Router::new().route("/work", routing::get(work));
            service.serve_tls(&files, routes).await.map(drop)
        },
    )
    .await;
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
