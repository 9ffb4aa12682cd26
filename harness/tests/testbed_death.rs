//! Nothing survives the harness: not when it is killed at work, not when it is killed while it starts.

#![allow(clippy::print_stdout, clippy::print_stderr)] // the process that is killed reports to its killer

mod testbed_support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill::{
    diagnostic::Source,
    testbed::{
        PipelineRequest, Signal, Testbed,
        local::{LocalOptions, LocalTestbed, lease, sweep},
    },
    topology::Topology,
};
use testbed_support::component;
use tokio_util::sync::CancellationToken;

/// Everything must be gone this long after the harness is.
const DEATH_LIMIT: Duration = Duration::from_secs(1);
const RUNS_VARIABLE: &str = "DEATH_RUNS_FOLDER";

/// Each instance starts a process of its own, which knows nothing of the harness.
const TOPOLOGY: &str = r#"
[customers]
entry = "shop/http"
[component.postgres]
provided = "postgres"
[component.kafka]
provided = "kafka"
[component.shop]
command  = COMMAND
replicas = 2
ports    = { http = "http" }
ready    = "/ready"
database = { name = "shop" }
[component.shop.settings]
COMPONENT_LISTEN = "{listen:http}"
COMPONENT_CHILD  = "yes"
DATABASE_URL     = "postgres://{database_user}:{database_password}@{link:postgres}/{database}"
KAFKA            = "{link:kafka}"
"#;

#[test]
fn acting_as_a_component() {
    component::serve_if_asked();
}

/// The process that is killed: a harness with a running, half frozen pipeline.
#[test]
fn acting_as_the_harness() {
    let Ok(runs) = std::env::var(RUNS_VARIABLE) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let text = TOPOLOGY.replace("COMMAND", &component::command());
        let topology = Topology::parse(Source::new("topology.toml", &text), PathBuf::from(&runs));
        let options = LocalOptions {
            runs_folder: PathBuf::from(&runs),
            ..LocalOptions::new(Arc::new(topology.expect("it is right"))).expect("options")
        };
        let testbed = LocalTestbed::start(options).await.expect("a testbed");
        let request = PipelineRequest {
            drill: "d0001".to_owned(),
            directory: testbed.run_folder().to_owned(),
            seed: 1,
            without: Vec::new(),
            settings: BTreeMap::new(),
            replicas: BTreeMap::new(),
            in_background: false,
            cancel: CancellationToken::new(),
        };
        let pipeline = testbed.start(request).await.expect("a pipeline");
        // A frozen process notices nothing by itself.
        pipeline
            .signal("shop-2", Signal::Stop)
            .await
            .expect("frozen");
        println!("up");
        std::future::pending::<()>().await;
    });
}

fn runs_folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("fd")
        .permissions(fs::Permissions::from_mode(0o711))
        .tempdir_in("/tmp")
        .expect("a folder")
}

fn start_harness(runs: &Path) -> Child {
    Command::new(std::env::current_exe().expect("the test's own path"))
        .args(["--exact", "acting_as_the_harness", "--nocapture"])
        .env(RUNS_VARIABLE, runs)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs")
}

fn wait_until_up(harness: &mut Child) {
    let output = BufReader::new(harness.stdout.take().expect("piped"));
    let up = output
        .lines()
        .map_while(Result::ok)
        .any(|line| line.ends_with("up"));
    assert!(up, "the harness did not come up");
}

/// Processes of any run below `runs`: by their mark, or by their folder, as PostgreSQL's children have no mark.
fn alive(runs: &Path) -> BTreeSet<u32> {
    let mark = format!("{}={}/", lease::RUN_VARIABLE, runs.display());
    let is_of_run = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let marked = environment
            .split(|byte| *byte == 0)
            .any(|pair| pair.starts_with(mark.as_bytes()));
        marked
            || fs::read_link(format!("/proc/{pid}/cwd"))
                .is_ok_and(|folder| folder.starts_with(runs))
    };
    fs::read_dir("/proc")
        .expect("Linux")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(is_of_run)
        .collect()
}

/// All System V shared memory segments, and the processes that made them. Process numbers come again, so a segment that
/// somebody left long ago may seem to be made by a process of today: only those that are new count.
fn segments() -> BTreeMap<u32, u32> {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let number = |line: &str, place: usize| line.split_whitespace().nth(place)?.parse().ok();
    table
        .lines()
        .skip(1)
        .filter_map(|line| Some((number(line, 1)?, number(line, 4)?)))
        .collect()
}

/// The segments that were not there before and were made by one of these processes.
fn new_segments(before: &BTreeMap<u32, u32>, makers: &BTreeSet<u32>) -> BTreeMap<u32, u32> {
    let mut now = segments();
    now.retain(|segment, maker| !before.contains_key(segment) && makers.contains(maker));
    now
}

/// Polls until nothing is alive; how long that took.
fn wait_for_death(runs: &Path) -> Duration {
    let begun = Instant::now();
    loop {
        let left = alive(runs);
        if left.is_empty() {
            return begun.elapsed();
        }
        assert!(
            begun.elapsed() < DEATH_LIMIT,
            "alive {DEATH_LIMIT:?} after the harness: {left:?}"
        );
        std::thread::yield_now();
    }
}

#[test]
fn everything_dies_with_a_harness_that_is_killed_at_work() {
    let (runs, before) = (runs_folder(), segments());
    let mut harness = start_harness(runs.path());
    wait_until_up(&mut harness);
    let born = alive(runs.path());
    // Two instances with a child each, the warden, the server and its own processes.
    assert!(born.len() >= 8, "{born:?}");
    harness.kill().expect("killed");
    harness.wait().expect("reaped");
    eprintln!(
        "all {} processes died within {:?}",
        born.len(),
        wait_for_death(runs.path())
    );
    assert!(
        new_segments(&before, &born).is_empty(),
        "shared memory is left"
    );

    let report = sweep::sweep(runs.path());
    assert_eq!(
        (report.runs.len(), report.failures.len()),
        (1, 0),
        "{report:?}"
    );
    let left: Vec<_> = fs::read_dir(runs.path())
        .expect("listed")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn a_harness_that_is_killed_while_it_starts_leaves_nothing_after_the_next_sweep() {
    let (runs, before) = (runs_folder(), segments());
    let mut born = BTreeSet::new();
    // The moments are spread over its start, which takes some 300 ms.
    for moment in 0..12 {
        let mut harness = start_harness(runs.path());
        let limit = Instant::now() + Duration::from_millis(moment * 35);
        while Instant::now() < limit {
            born.extend(alive(runs.path()));
        }
        harness.kill().expect("killed");
        harness.wait().expect("reaped");
        wait_for_death(runs.path());
        let report = sweep::sweep(runs.path());
        assert!(report.failures.is_empty(), "{report:?}");
        assert!(
            report.processes.is_empty(),
            "killed only by the sweep: {report:?}"
        );
    }
    let left: Vec<_> = fs::read_dir(runs.path())
        .expect("listed")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(left.iter().all(|name| name == "lock"), "{left:?}");
    assert!(
        new_segments(&before, &born).is_empty(),
        "shared memory is left"
    );
}

#[test]
fn a_sweep_spares_a_run_that_lives_and_ends_what_is_left_of_a_dead_one() {
    let (runs, before) = (runs_folder(), segments());
    let mut harness = start_harness(runs.path());
    wait_until_up(&mut harness);
    let born = alive(runs.path());
    let report = sweep::sweep(runs.path());
    assert_eq!(
        (
            report.runs.len(),
            report.spared.len(),
            report.processes.len()
        ),
        (0, 1, 0),
        "{report:?}"
    );
    assert_eq!(alive(runs.path()), born, "a sweep touched a live run");

    // A server that is killed leaves its shared memory; only the sweep can remove that.
    let made = new_segments(&before, &born);
    let server = *made.values().next().expect("the server's segment");
    let kill = Command::new("kill")
        .args(["-9", &server.to_string()])
        .status()
        .expect("kill runs");
    assert!(kill.success());
    harness.kill().expect("killed");
    harness.wait().expect("reaped");
    wait_for_death(runs.path());
    let report = sweep::sweep(runs.path());
    assert_eq!(
        (report.runs.len(), report.shared_memory.len()),
        (1, 1),
        "{report:?}"
    );
    assert!(new_segments(&before, &born).is_empty());
}
