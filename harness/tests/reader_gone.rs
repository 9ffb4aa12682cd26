//! Whoever read along has gone, as with `firedrill run | head -1`: nothing panics, and nothing is lost.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs the command with nobody at the other end of its standard output.
fn without_reader(arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("it runs")
}

#[test]
fn a_list_ends_quietly() {
    for format in [&["list", "steps"][..], &["list", "steps", "--json"]] {
        let listed = without_reader(format);
        let said = String::from_utf8_lossy(&listed.stderr);
        assert_eq!((listed.status.code(), &*said), (Some(0), ""), "{format:?}");
    }
}

#[test]
fn a_run_is_finished_and_its_verdict_written() {
    let out = tempfile::tempdir().expect("a folder");
    let run = out.path().join("run");
    let ran = without_reader(&[
        "run",
        "features/quickstart.feature",
        "--without",
        "payment.idempotency-key",
        "--out",
        run.to_str().expect("a path of letters"),
    ]);
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    let verdicts = std::fs::read(run.join("verdicts.json")).expect("verdicts");
    let verdicts: serde_json::Value = serde_json::from_slice(&verdicts).expect("JSON");
    assert_eq!(verdicts["drills"][0]["verdict"], "VIOLATED");
    assert!(run.join("report.html").is_file());
}

#[test]
fn a_complaint_that_nobody_hears_keeps_its_exit_code() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let refused = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["run", "no-such.feature"])
        .stderr(writer)
        .stdout(Stdio::null())
        .status()
        .expect("it runs");
    assert_eq!(refused.code(), Some(64));
}
