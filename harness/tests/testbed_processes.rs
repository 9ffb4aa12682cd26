//! Child processes: how they end is seen, and nothing that they started is left.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use firedrill::testbed::local::processes::{DeathSignal, Launch, Process, Processes};

/// A shell with a script, whose output goes to `log` in `folder`.
fn shell(script: &str, folder: &Path) -> Launch {
    Launch {
        program: PathBuf::from("/bin/sh"),
        arguments: ["-c", script].map(OsString::from).to_vec(),
        folder: folder.to_owned(),
        environment: BTreeMap::from([
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("ONLY".into(), "this".into()),
        ]),
        log: folder.join("log"),
        user: None,
        death_signal: DeathSignal::Kill,
    }
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// Waits, bounded, until the log has a line that begins so; the rest of the line.
async fn line(folder: &Path, start: &str) -> String {
    let found = async {
        let mut look = tokio::time::interval(Duration::from_millis(2));
        loop {
            look.tick().await;
            if let Some(rest) = log(folder)
                .lines()
                .find_map(|line| line.strip_prefix(start).map(str::to_owned))
            {
                return rest;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found)
        .await
        .expect("the script says so")
}

fn exists(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn start(processes: &Processes, script: &str, folder: &Path) -> Process {
    processes
        .spawn(shell(script, folder))
        .await
        .expect("started")
}

#[tokio::test]
async fn an_exit_code_and_a_signal_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let processes = Processes::start().expect("a keeper");
    let by_itself = start(&processes, "exit 3", folder.path()).await;
    let by_signal = start(&processes, "kill -9 $$", folder.path()).await;
    assert_eq!(by_itself.wait().await.code(), Some(3));
    assert_eq!(by_signal.wait().await.signal(), Some(9));
    assert!(
        !by_itself
            .signal(rustix::process::Signal::TERM)
            .expect("no error"),
        "signalled a process that is gone"
    );
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_the_output_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let processes = Processes::start().expect("a keeper");
    start(&processes, "echo one >&2; env", folder.path())
        .await
        .wait()
        .await;
    start(&processes, "echo two", folder.path())
        .await
        .wait()
        .await;
    let log = log(folder.path());
    assert!(log.starts_with("one\n") && log.ends_with("two\n"), "{log}");
    assert!(log.contains("ONLY=this") && !log.contains("CARGO"), "{log}");
}

#[tokio::test]
async fn who_ignores_sigterm_is_killed_after_the_grace() {
    let folder = tempfile::tempdir().expect("a folder");
    let processes = Processes::start().expect("a keeper");
    let polite = start(
        &processes,
        "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done",
        folder.path(),
    )
    .await;
    line(folder.path(), "ready").await;
    assert_eq!(
        polite
            .stop(Duration::from_secs(10))
            .await
            .expect("stopped")
            .code(),
        Some(0)
    );
    let stubborn = start(
        &processes,
        "trap '' TERM; echo deaf; while :; do sleep 1; done",
        folder.path(),
    )
    .await;
    line(folder.path(), "deaf").await;
    let begun = Instant::now();
    assert_eq!(
        stubborn
            .stop(Duration::from_millis(200))
            .await
            .expect("stopped")
            .signal(),
        Some(9)
    );
    assert!(
        begun.elapsed() >= Duration::from_millis(200),
        "no grace was given"
    );
}

#[tokio::test]
async fn what_a_process_has_started_ends_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let processes = Processes::start().expect("a keeper");
    let parent = start(
        &processes,
        "sleep 600 & echo child $!; exit 0",
        folder.path(),
    )
    .await;
    let child = line(folder.path(), "child ").await;
    parent.wait().await;
    // The signal has been sent when the parent's end is told; the kernel may take a moment over a busy core.
    let limit = Instant::now() + Duration::from_secs(1);
    while exists(&child) {
        assert!(Instant::now() < limit, "{child} is left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn closing_ends_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let processes = Processes::start().expect("a keeper");
    let process = start(
        &processes,
        "trap '' TERM; echo up; sleep 600",
        folder.path(),
    )
    .await;
    line(folder.path(), "up").await;
    processes.close();
    assert_eq!(process.ended().and_then(|status| status.signal()), Some(9));
    assert!(
        processes
            .spawn(shell("exit 0", folder.path()))
            .await
            .is_err(),
        "started after the end"
    );
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let processes = Processes::start().expect("a keeper");
    let launch = Launch {
        program: "/no/such/program".into(),
        ..shell("", folder.path())
    };
    let error = processes
        .spawn(launch)
        .await
        .map(drop)
        .expect_err("it does not exist");
    assert!(error.to_string().contains("/no/such/program"), "{error}");
}

/// Said to the process that acts as a harness that ignores signals.
const DEAF_VARIABLE: &str = "PROCESSES_OF_A_DEAF_HARNESS";

#[tokio::test]
async fn acting_as_a_harness_that_ignores_signals() {
    if std::env::var_os(DEAF_VARIABLE).is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let processes = Processes::start().expect("a keeper");
    for (name, number) in [("INT", 2), ("QUIT", 3), ("TERM", 15)] {
        let script = format!("ulimit -c 0; kill -{name} $$; exit 7");
        let process = start(&processes, &script, folder.path()).await;
        let status = process.wait().await;
        assert_eq!(status.signal(), Some(number), "SIG{name}: {status}");
    }
}

/// As a shell that starts a program with `&` has it do.
#[test]
fn what_the_harness_ignores_its_processes_do_not() {
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", r#"trap "" INT QUIT TERM; exec "$0" "$@""#])
        .arg(std::env::current_exe().expect("the test's own path"))
        .args(["--exact", "acting_as_a_harness_that_ignores_signals"])
        .env(DEAF_VARIABLE, "yes")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}
