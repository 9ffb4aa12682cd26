//! Components of the workspace are built before they are started, and the binary is the one that cargo names.

#![allow(clippy::print_stderr)] // times, for who runs it with --nocapture

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

use firedrill::testbed::{
    TestbedError,
    local::{build::build, processes::Processes},
};

fn packages(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The harness's own binary is built for this test, so there is nothing to compile and the path is known.
#[tokio::test]
async fn the_binary_is_the_one_that_the_running_profile_has() {
    let processes = Processes::start().expect("a keeper");
    let said = Arc::new(Mutex::new(Vec::new()));
    let listening = Arc::clone(&said);
    let progress =
        Arc::new(move |line: &str| listening.lock().expect("unpoisoned").push(line.to_owned()))
            as _;
    let begun = Instant::now();
    let built = build(
        &processes,
        &packages(&["firedrill"]),
        Path::new(env!("CARGO_MANIFEST_DIR")),
        &progress,
    )
    .await
    .expect("it is built");
    eprintln!(
        "a warm build took {:?}, and said {:?}",
        begun.elapsed(),
        said.lock().expect("unpoisoned")
    );
    assert_eq!(
        built["firedrill"],
        Path::new(env!("CARGO_BIN_EXE_firedrill"))
    );
}

#[tokio::test]
async fn an_unknown_package_is_named() {
    let processes = Processes::start().expect("a keeper");
    let silent = Arc::new(|_: &str| {}) as _;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let refused = build(&processes, &packages(&["no-such-service"]), folder, &silent).await;
    let Err(TestbedError::Failed { doing, reason }) = refused else {
        panic!("it was built")
    };
    assert!(
        doing.contains("no-such-service") && reason.contains("no-such-service"),
        "{doing}: {reason}"
    );
}
