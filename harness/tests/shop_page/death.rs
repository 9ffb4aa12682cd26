//! Nothing of a browser survives the harness, however that ends.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill::{
    diagnostic::Source,
    testbed::{
        Pipeline, Testbed,
        local::{LocalOptions, LocalTestbed, lease},
    },
    topology::Topology,
};

use crate::{has_browser, request, testbed_support::component};

/// Everything must be gone this long after the harness is, or after the pipeline has stopped.
const DEATH_LIMIT: Duration = Duration::from_secs(2);
const RUNS_VARIABLE: &str = "BROWSER_RUNS_FOLDER";

const TOPOLOGY: &str = r#"
[customers]
entry = "shop/http"
[component.shop]
command = COMMAND
ports   = { http = "http" }
ready   = "/ready"
[component.shop.settings]
COMPONENT_LISTEN = "{listen:http}"
"#;

async fn testbed_in(runs: &Path) -> LocalTestbed {
    let text = TOPOLOGY.replace("COMMAND", &component::command());
    let topology = Topology::parse(Source::new("topology.toml", &text), PathBuf::from(runs));
    let options = LocalOptions {
        runs_folder: PathBuf::from(runs),
        ..LocalOptions::new(Arc::new(topology.expect("it is right"))).expect("options")
    };
    LocalTestbed::start(options).await.expect("a testbed")
}

async fn with_a_browser(testbed: &LocalTestbed) -> Arc<dyn Pipeline> {
    let pipeline = testbed
        .start(request(testbed.run_folder()))
        .await
        .expect("a pipeline");
    pipeline.open_browser("shopper").await.expect("a browser");
    pipeline
}

/// The process that is killed: a harness with a running browser.
#[test]
fn acting_as_the_harness() {
    let Ok(runs) = std::env::var(RUNS_VARIABLE) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let testbed = testbed_in(Path::new(&runs)).await;
        if !has_browser(&testbed) {
            println!("skipped");
            return;
        }
        let _pipeline = with_a_browser(&testbed).await;
        println!("up");
        std::future::pending::<()>().await;
    });
}

/// Processes of any run below `runs`, by their mark.
fn alive(runs: &Path) -> BTreeSet<u32> {
    let mark = format!("{}={}/", lease::RUN_VARIABLE, runs.display());
    let is_of_run = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|pair| pair.starts_with(mark.as_bytes()))
    };
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(is_of_run).collect()
}

fn wait_until_alive(runs: &Path, at_most: usize) {
    let begun = Instant::now();
    loop {
        let left = alive(runs);
        if left.len() <= at_most {
            return;
        }
        assert!(
            begun.elapsed() < DEATH_LIMIT,
            "alive after {DEATH_LIMIT:?}: {left:?}"
        );
        std::thread::yield_now();
    }
}

fn runs_folder() -> tempfile::TempDir {
    let mut named = tempfile::Builder::new();
    named
        .prefix("fd")
        .permissions(fs::Permissions::from_mode(0o711));
    named.tempdir_in("/tmp").expect("a folder")
}

#[test]
fn a_browser_dies_with_a_harness_that_is_killed() {
    let runs = runs_folder();
    let mut harness = Command::new(std::env::current_exe().expect("the test's own path"))
        .args(["--exact", "death::acting_as_the_harness", "--nocapture"])
        .env(RUNS_VARIABLE, runs.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let output = BufReader::new(harness.stdout.take().expect("piped"));
    let mut lines = output.lines().map_while(Result::ok);
    let up = lines.find(|line| line.ends_with("up") || line.ends_with("skipped"));
    if up.expect("the harness did not come up").ends_with("up") {
        assert!(
            alive(runs.path()).len() >= 5,
            "a browser has processes of its own"
        );
        harness.kill().expect("killed");
        harness.wait().expect("reaped");
        wait_until_alive(runs.path(), 0);
    }
    harness.wait().expect("reaped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_ends_with_its_pipeline() {
    let runs = runs_folder();
    let testbed = testbed_in(runs.path()).await;
    if has_browser(&testbed) {
        let without = alive(runs.path()).len();
        let pipeline = with_a_browser(&testbed).await;
        assert!(alive(runs.path()).len() > without + 3);
        pipeline.stop().await.expect("stopped");
        wait_until_alive(runs.path(), without);
        // Given up without a word it ends as well.
        drop(with_a_browser(&testbed).await);
        wait_until_alive(runs.path(), without);
    }
    testbed.shut_down().await.expect("shut down");
}
