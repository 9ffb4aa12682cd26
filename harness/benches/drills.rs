//! How quickly drills start, follow each other and end, on a built tree:
//! `cargo bench --profile dev -p firedrill --bench drills`. Users run this profile, so this one is measured.
//!
//! Prints each figure with its goal and the ratio between them (below 1 is better than the goal); it never fails for being
//! slow, because machines are shared and noisy.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::{
    error::Error,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("the crate has no parent folder")?;
    let out = tempfile::tempdir()?;
    // The first run builds what is not built yet and fills the caches; it is not measured.
    run(
        workspace,
        &out.path().join("warm"),
        &["features/quickstart.feature"],
    )?;
    let first = run(
        workspace,
        &out.path().join("first"),
        &["features/quickstart.feature"],
    )?;
    let all = run(workspace, &out.path().join("all"), &["features"])?;
    let verdicts: Value =
        serde_json::from_slice(&std::fs::read(out.path().join("all/verdicts.json"))?)?;
    let drills = verdicts["drills"]
        .as_array()
        .ok_or("verdicts.json has no drills")?;
    let resets = resets(drills);
    let failed = drills
        .iter()
        .filter(|drill| drill["verdict"] != "PASSED")
        .count();
    println!("{} scenarios, {failed} of them did not pass", drills.len());
    show(
        "from a built tree to the first drill",
        first.until_first_drill_s,
        2.0,
    );
    show(
        "reset between drills, median",
        resets.get(resets.len() / 2).copied().unwrap_or(f64::NAN),
        0.4,
    );
    show("all scenarios", all.total_s, 40.0);
    Ok(())
}

/// How long each place for a drill stood idle between two drills: from the last thing that the one read until the pipeline
/// of the other was ready. A drill takes the place that became free first.
fn resets(drills: &[Value]) -> Vec<f64> {
    let mut began: Vec<f64> = drills.iter().map(|drill| seconds(drill, "began")).collect();
    let mut ready: Vec<f64> = drills
        .iter()
        .map(|drill| seconds(drill, "began") + seconds(drill, "prepare"))
        .collect();
    let mut read: Vec<f64> = drills
        .iter()
        .map(|drill| {
            let phases = ["began", "prepare", "load", "settle", "observe"];
            phases.iter().map(|phase| seconds(drill, phase)).sum()
        })
        .collect();
    for times in [&mut began, &mut ready, &mut read] {
        times.sort_by(f64::total_cmp);
    }
    // Drills that had begun before any had ended found their place free.
    let first = read.first().copied().unwrap_or(f64::MAX);
    let places = began.partition_point(|began| *began < first);
    let mut resets: Vec<f64> = ready
        .iter()
        .skip(places)
        .zip(&read)
        .map(|(ready, read)| ready - read)
        .collect();
    resets.sort_by(f64::total_cmp);
    resets
}

struct Measured {
    until_first_drill_s: f64,
    total_s: f64,
}

fn run(workspace: &Path, out: &Path, arguments: &[&str]) -> Result<Measured, Box<dyn Error>> {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .current_dir(workspace)
        .arg("run")
        .arg("--out")
        .arg(out)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let mut until_first_drill_s = f64::NAN;
    for line in lines {
        if line?.contains("testbed local") && until_first_drill_s.is_nan() {
            until_first_drill_s = began.elapsed().as_secs_f64();
        }
    }
    child.wait()?;
    Ok(Measured {
        until_first_drill_s,
        total_s: began.elapsed().as_secs_f64(),
    })
}

fn seconds(drill: &Value, phase: &str) -> f64 {
    drill["seconds"][phase].as_f64().unwrap_or(f64::NAN)
}

fn show(what: &str, measured_s: f64, goal_s: f64) {
    println!(
        "{what:38} {measured_s:6.2} s   goal {goal_s:5.1} s   ratio {:.2}",
        measured_s / goal_s
    );
}
