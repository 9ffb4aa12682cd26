//! `firedrill up`: what it prints is true, an order can be placed with the command that it prints, and Ctrl-C leaves nothing.

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use firedrill::testbed::local::place;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::{Connection, PgConnection, Row};

/// The command under test; it does not outlive the test.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(arguments: &[&str]) -> Up {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let child = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .current_dir(workspace)
        .arg("up")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("it runs");
    Up(child)
}

/// Types printed commands into one shell; what the last one prints.
fn typed(commands: &[&str]) -> Value {
    let ended = Command::new("sh")
        .args(["-euc", &commands.join("\n")])
        .stderr(Stdio::inherit())
        .output()
        .expect("a shell");
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{commands:?} printed {printed}");
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

#[tokio::test]
async fn the_printed_addresses_serve_an_order_and_an_interrupt_leaves_nothing() {
    let mut up = start(&[
        "--products",
        "3",
        "--units",
        "50",
        "--replicas",
        "order-service=1",
    ]);
    let mut output = BufReader::new(up.0.stdout.take().expect("piped"));
    let mut printed = Vec::new();
    for line in output.by_ref().lines().map_while(Result::ok) {
        let is_last = line.starts_with("Ctrl-C ends it");
        printed.push(line);
        if is_last {
            break;
        }
    }
    let text = printed.join("\n");
    let line_with = |part: &str| {
        let found = printed.iter().find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("no {part} in:\n{text}"))
    };
    assert!(
        text.contains("order-service-1") && !text.contains("order-service-2"),
        "{text}"
    );

    let token = line_with("TOKEN=").as_str();
    let placed = typed(&[token, line_with("/orders'")]);
    let order_id = placed["order_id"].as_str().expect("an id");
    let look = line_with("ORDER_ID").replace("ORDER_ID", order_id);
    let order = typed(&[token, &look]);
    assert_eq!(order["order_id"], placed["order_id"], "{order}");

    let url = line_with("postgres://")
        .split_whitespace()
        .last()
        .expect("a URL");
    let mut database = PgConnection::connect(url)
        .await
        .expect("the printed credentials open it");
    let one = sqlx::query("select 1")
        .fetch_one(&mut database)
        .await
        .expect("asked");
    assert_eq!(one.get::<i32, _>(0), 1);

    let bootstrap: SocketAddr = line_with("bootstrap")
        .split(|letter: char| letter.is_whitespace() || letter == ',')
        .find_map(|word| word.parse().ok())
        .expect("the broker's address");
    TcpStream::connect(bootstrap).expect("the broker listens");

    let process = up.0.id();
    let pid = Pid::from_raw(process.cast_signed()).expect("a process id");
    kill_process(pid, Signal::INT).expect("interrupted");
    let ended = up.0.wait().expect("it ends");
    assert_eq!(
        ended.code(),
        Some(0),
        "an interrupt is how it is meant to end"
    );
    assert!(TcpStream::connect(bootstrap).is_err(), "the broker is left");
    let places = place::runs_folders();
    let left: Vec<_> = places
        .iter()
        .flat_map(std::fs::read_dir)
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with(&format!("{process}-"))
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
    for entry in std::fs::read_dir("/proc").expect("Linux").flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let marks = places
            .each_ref()
            .map(|place| format!("FIREDRILL_RUN={}/{process}-", place.display()));
        let is_marked = environment
            .split(|byte| *byte == 0)
            .any(|pair| marks.iter().any(|mark| pair.starts_with(mark.as_bytes())));
        assert!(!is_marked, "{} is left", entry.path().display());
    }
}

#[test]
fn a_setting_that_does_not_exist_starts_nothing() {
    for wrong in [
        ["--set", "order-service.OUTBOX_POL_MS=5"],
        ["--set", "nonsense"],
        ["--replicas", "order-servce=2"],
        ["--without", "order.outbx"],
    ] {
        let ended = start(&wrong).0.wait().expect("it ends");
        assert_eq!(ended.code(), Some(64), "{wrong:?}");
    }
}
