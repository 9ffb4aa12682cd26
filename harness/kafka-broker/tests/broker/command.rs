//! The broker as a command of its own.

use crate::clients::LIMIT;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Starts it and reads the address that it tells.
async fn started(arguments: &[&str]) -> (Child, String) {
    let mut child = command(arguments).spawn().expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("output")).lines();
    let line = tokio::time::timeout(LIMIT, lines.next_line())
        .await
        .expect("in time")
        .expect("readable")
        .expect("a line");
    let address = line
        .strip_prefix("kafka-broker listens on ")
        .unwrap_or_else(|| panic!("{line:?}"));
    (child, address.to_owned())
}

/// Exit code and error output of a run that ends by itself.
async fn ended(arguments: &[&str]) -> (Option<i32>, String) {
    let output = tokio::time::timeout(LIMIT, command(arguments).output())
        .await
        .expect("in time")
        .expect("run");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_its_topics_and_ends_when_it_is_told_to() {
    for signal in ["INT", "TERM"] {
        let listen = [
            "--listen",
            "127.0.0.1:0",
            "--topic",
            "orders:3",
            "--topic",
            "events",
        ];
        let (mut child, address) = started(&listen).await;
        let asking: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &address)
            .create()
            .expect("client");
        let topics = tokio::task::spawn_blocking(move || {
            let metadata = asking.fetch_metadata(None, LIMIT).expect("answer");
            let of = |topic: &rdkafka::metadata::MetadataTopic| {
                (topic.name().to_owned(), topic.partitions().len())
            };
            metadata.topics().iter().map(of).collect::<Vec<_>>()
        })
        .await
        .expect("no panic");
        assert_eq!(topics, [("events".to_owned(), 1), ("orders".to_owned(), 3)]);
        let pid = child.id().expect("running").to_string();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status();
        assert!(sent.await.expect("kill").success());
        let status = tokio::time::timeout(LIMIT, child.wait()).await;
        let status = status.expect("in time").expect("ended");
        assert_eq!(status.code(), Some(0), "after SIG{signal}");
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_64_and_a_remedy() {
    for (arguments, remedy) in [
        (&["--port", "1"][..], "--help"),
        (&["--listen", "nowhere"], "--listen"),
        (&["--topic", "orders:many"], "orders:8"),
        (&["--topic", "a/b", "--listen", "127.0.0.1:0"], "topic"),
        (&["--partitions", "0"], "1..=10000"),
        (&["--advertise", "here"], "127.0.0.1:9092"),
        (&["--log", "a=b=c"], "info"),
    ] {
        let (code, errors) = ended(arguments).await;
        assert_eq!(code, Some(64), "{arguments:?}: {errors}");
        assert!(errors.contains(remedy), "{arguments:?}: {errors}");
    }
    assert_eq!(ended(&["--help"]).await.0, Some(0));
}

#[tokio::test]
async fn a_taken_port_ends_it_with_69_and_a_remedy() {
    let (mut child, address) = started(&["--listen", "127.0.0.1:0"]).await;
    let (code, errors) = ended(&["--listen", &address]).await;
    assert_eq!(code, Some(69), "{errors}");
    assert!(errors.contains("--listen"), "{errors}");
    child.kill().await.expect("ended");
    let mut rest = String::new();
    let mut log = child.stderr.take().expect("errors");
    log.read_to_string(&mut rest).await.expect("readable");
    assert!(!rest.contains("ERROR"), "{rest}");
}
