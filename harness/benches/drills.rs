//! How quickly drills start, follow each other and end, on a built tree:
//! `cargo bench --workspace --profile dev --bench drills`. Users run this profile, so this one is measured.
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

/// The failures whose scenarios the goals speak of.
const MEASURED: &str = "@F6.5 or @F5.1 or @F4.1 or @F9.4 or @F12.1 or @F2.4";

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
    let all = run(workspace, &out.path().join("all"), &["--tags", MEASURED])?;
    // One after the other, so that it is known which drill followed which.
    let in_turn = ["--tags", MEASURED, "--jobs", "1"];
    run(workspace, &out.path().join("in-turn"), &in_turn)?;
    let verdicts = std::fs::read(out.path().join("in-turn/verdicts.json"))?;
    let verdicts: Value = serde_json::from_slice(&verdicts)?;
    let drills = verdicts["drills"]
        .as_array()
        .ok_or("verdicts.json has no drills")?;
    let resets = resets(drills);
    let failed = drills
        .iter()
        .filter(|drill| drill["verdict"] != "PASSED")
        .count();
    println!(
        "{} scenarios, {failed} of them did not pass in turn",
        drills.len()
    );
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
    show("all of them, side by side", all.total_s, 40.0);
    Ok(())
}

/// How long nobody was drilled between two drills that ran one after the other: from the last thing that the one read until
/// the pipeline of the other was ready. In order of length.
fn resets(drills: &[Value]) -> Vec<f64> {
    let sum = |drill: &Value, phases: &[&str]| -> f64 {
        phases.iter().map(|phase| seconds(drill, phase)).sum()
    };
    let mut times: Vec<(f64, f64)> = drills
        .iter()
        .map(|drill| {
            let ready = sum(drill, &["began", "prepare"]);
            let read = ready + sum(drill, &["load", "settle", "observe"]);
            (ready, read)
        })
        .collect();
    times.sort_by(|one, other| one.0.total_cmp(&other.0));
    let pairs = times.windows(2);
    let mut resets: Vec<f64> = pairs.map(|pair| pair[1].0 - pair[0].1).collect();
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
