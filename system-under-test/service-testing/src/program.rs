//! A service as a process of its own, which can be asked, terminated and killed.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::eventually;

/// A running program; it is killed when it is dropped.
pub struct Program {
    process: Child,
    address: SocketAddr,
    log: NamedTempFile,
}

impl Program {
    /// Starts a program with these settings and no others; `LISTEN_HTTP` is chosen here.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn spawn(binary: &str, values: &[(&str, &str)]) -> Self {
        let address = free_address();
        let log = NamedTempFile::new().expect("a file for the log");
        let output = || {
            File::options()
                .append(true)
                .open(log.path())
                .map(Stdio::from)
                .expect("the log can be written")
        };
        let process = Command::new(Path::new(binary))
            .env_clear()
            .env("LISTEN_HTTP", address.to_string())
            .env("FAIL_POINTS", "on")
            .envs(values.iter().copied())
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn()
            .expect("the program starts");
        Self {
            process,
            address,
            log,
        }
    }

    /// Starts a program and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn ready(binary: &str, values: &[(&str, &str)]) -> Self {
        let mut program = Self::spawn(binary, values);
        eventually("the program is ready", async || {
            let ended = program
                .process
                .try_wait()
                .expect("the process can be asked");
            assert!(ended.is_none(), "the program ended: {}", program.log());
            program
                .ask("GET", "/health/ready", "")
                .await
                .is_some_and(|(status, _)| status == 200)
        })
        .await;
        program
    }

    /// Sends one request; none when no answer came.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: tests\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        let mut connection = TcpStream::connect(self.address).await.ok()?;
        connection.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// Arms a fail-point to kill the program at its next passage.
    ///
    /// # Panics
    /// When the program does not know the name.
    pub async fn kill_at(&self, fail_point: &str) {
        let path = format!("/control/fail-points/{fail_point}");
        let answer = self
            .ask("PUT", &path, r#"{"action":"kill","times":1}"#)
            .await;
        assert_eq!(
            answer.map(|(status, _)| status),
            Some(200),
            "{fail_point} was not armed"
        );
    }

    /// Sends SIGTERM.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn terminate(&self) {
        let id = i32::try_from(self.process.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a process id");
        rustix::process::kill_process(id, rustix::process::Signal::TERM)
            .expect("the process is there");
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the program ends", async || {
            self.process
                .try_wait()
                .expect("the process can be asked")
                .is_some()
        })
        .await;
        self.process.wait().expect("the process has ended")
    }

    /// What the program has written so far.
    ///
    /// # Panics
    /// When the log cannot be read.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).expect("the log can be read")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_reaped = self.process.wait();
    }
}

/// An address that is free now. Somebody else may take it before the program does; then the program says so and ends.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}
