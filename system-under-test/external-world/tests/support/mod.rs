//! What the tests of all roles share.
#![allow(dead_code, reason = "each test program uses its own part")]

use reqwest::{Certificate, Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A certificate for this machine, its key, and a client that trusts only it.
pub(crate) struct Trust {
    pub(crate) files: TempDir,
    pub(crate) client: Client,
}

impl Trust {
    pub(crate) fn new() -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let files = tempfile::tempdir().expect("a folder");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let issued = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let write = |name, text| std::fs::write(files.path().join(name), text).expect("written");
        write("cert.pem", issued.cert.pem());
        write("key.pem", issued.signing_key.serialize_pem());
        let trusted = Certificate::from_der(issued.cert.der()).expect("a certificate");
        let client = Client::builder()
            .tls_certs_only([trusted])
            .no_proxy()
            .build()
            .expect("a client");
        Self { files, client }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_string_lossy().into_owned()
    }

    /// Sets a script on the control API at `base`.
    pub(crate) async fn script(&self, base: &str, name: &str, script: Value) {
        let url = format!("{base}/control/scripts/{name}");
        let response = self
            .client
            .put(url)
            .json(&script)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }

    /// What the control API at `base` shows.
    pub(crate) async fn control(&self, base: &str, path: &str) -> Value {
        let url = format!("{base}/control/{path}");
        self.client
            .get(url)
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON")
    }

    /// The program itself, so that it can be killed. Ports: of the control API, of the public API.
    pub(crate) async fn run_program(
        &self,
        role: &str,
        database_url: &str,
        ports: [u16; 2],
    ) -> Child {
        let child = Command::new(env!("CARGO_BIN_EXE_external-world"))
            .arg(role)
            .env("INSTANCE", format!("{role}-1"))
            .env("LISTEN_HTTP", format!("127.0.0.1:{}", ports[0]))
            .env("LISTEN_PUBLIC", format!("127.0.0.1:{}", ports[1]))
            .env("CERTIFICATE_FILE", self.path("cert.pem"))
            .env("PRIVATE_KEY_FILE", self.path("key.pem"))
            .env("DATABASE_URL", database_url)
            .env("FAIL_POINTS", "on")
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let url = format!("http://127.0.0.1:{}/health/ready", ports[0]);
        service_testing::eventually("the program is ready", async || {
            let answer = self.client.get(&url).send().await;
            answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
        })
        .await;
        child
    }

    /// Arms a fail-point of a program to kill it at its next passage.
    pub(crate) async fn kill_at(&self, http_port: u16, point: &str) {
        let url = format!("http://127.0.0.1:{http_port}/control/fail-points/{point}");
        let order = json!({ "action": "kill", "times": 1 });
        let arm = self.client.put(url).json(&order);
        let armed = arm.send().await.expect("an answer");
        assert_eq!(armed.status(), StatusCode::OK);
    }
}

pub(crate) fn free_ports() -> [u16; 2] {
    let bind = || std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listeners = [bind(), bind()];
    listeners.map(|listener| listener.local_addr().expect("bound").port())
}
