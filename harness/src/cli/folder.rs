//! The folder of a run: what it was given, what it left, and `latest`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::loading::System;
use crate::drill::DrillOrder;

/// Everything that is needed to do one drill again; `plan.json` in the drill's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this file.
    pub schema: u32,
    /// The feature file, relative to the workspace.
    pub feature: String,
    /// Line of the scenario.
    pub line: usize,
    /// Name of the scenario.
    pub scenario: String,
    /// Seed of the drill.
    pub seed: u64,
    /// Defences that were off.
    pub without: Vec<String>,
}

/// Version of `plan.json`.
const PLAN_SCHEMA: u32 = 1;

/// Folder inside a run that keeps what the run was given.
pub const GIVEN: &str = "given";

/// Makes a run's folder under `target/firedrill`, or the one that was asked for, and points `latest` to it.
///
/// # Errors
/// It cannot be written, or the folder that was asked for holds a run already.
pub fn create(root: &Path, seed: u64, out: Option<&Path>) -> anyhow::Result<PathBuf> {
    let (folder, latest) = match out {
        Some(out) => (out.to_owned(), None),
        None => {
            let runs = runs_folder(root);
            let format =
                time::macros::format_description!("[year][month][day]-[hour][minute][second]");
            let now = time::OffsetDateTime::now_utc().format(format)?;
            (
                first_free(&runs, &format!("{now}-{seed}")),
                Some(runs.join("latest")),
            )
        }
    };
    if folder.join(crate::report::verdicts::FILE).exists() {
        anyhow::bail!(
            "{} holds a run already: name another folder",
            folder.display()
        );
    }
    fs::create_dir_all(folder.join("drills"))
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    let folder = folder.canonicalize()?;
    if let Some(latest) = latest {
        let fresh = latest.with_extension(std::process::id().to_string());
        let _ = fs::remove_file(&fresh);
        std::os::unix::fs::symlink(&folder, &fresh)?;
        fs::rename(&fresh, &latest)
            .with_context(|| format!("{} cannot be pointed to the run", latest.display()))?;
    }
    Ok(folder)
}

fn first_free(runs: &Path, name: &str) -> PathBuf {
    (1..)
        .map(|number| {
            if number == 1 {
                runs.join(name)
            } else {
                runs.join(format!("{name}-{number}"))
            }
        })
        .find(|folder| !folder.exists())
        .unwrap_or_else(|| runs.join(name))
}

/// Where runs are kept.
pub fn runs_folder(root: &Path) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("firedrill")
}

/// Copies what the run was given into its folder, so that a replay does not depend on later edits.
///
/// # Errors
/// A file cannot be copied.
pub fn keep_what_was_given(
    folder: &Path,
    system: &System,
    features: &[PathBuf],
) -> anyhow::Result<()> {
    let given = folder.join(GIVEN);
    fs::create_dir_all(&given)?;
    fs::copy(&system.topology.path, given.join("topology.toml"))
        .context("the topology cannot be copied")?;
    fs::copy(&system.observations_path, given.join("observations.toml"))
        .context("the observations cannot be copied")?;
    copy_folder(
        &system.profiles_folder,
        &given.join("fault-profiles"),
        "toml",
    )?;
    for feature in features {
        let relative = feature.strip_prefix(&system.root).unwrap_or(feature);
        let relative: PathBuf = relative
            .components()
            .filter(|part| matches!(part, std::path::Component::Normal(_)))
            .collect();
        let target = given.join(relative);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(feature, &target)
            .with_context(|| format!("{} cannot be copied", feature.display()))?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path, extension: &str) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension)
            && let Some(name) = path.file_name()
        {
            fs::copy(&path, to.join(name))
                .with_context(|| format!("{} cannot be copied", path.display()))?;
        }
    }
    Ok(())
}

/// Makes a drill's folder and writes its plan there.
///
/// # Errors
/// It cannot be written.
pub fn prepare_drill(order: &DrillOrder) -> anyhow::Result<()> {
    fs::create_dir_all(&order.folder)
        .with_context(|| format!("{} cannot be made", order.folder.display()))?;
    let plan = Plan {
        schema: PLAN_SCHEMA,
        feature: order.feature.clone(),
        line: order.line,
        scenario: order.scenario.clone(),
        seed: order.seed,
        without: order.without.clone(),
    };
    fs::write(
        order.folder.join("plan.json"),
        serde_json::to_vec_pretty(&plan)?,
    )?;
    Ok(())
}

/// Reads a drill's plan.
///
/// # Errors
/// There is none, or it is of another version.
pub fn read_plan(folder: &Path) -> anyhow::Result<Plan> {
    let path = folder.join("plan.json");
    let text = fs::read_to_string(&path).with_context(|| {
        format!(
            "{} cannot be read: name the folder of a drill",
            path.display()
        )
    })?;
    let plan: Plan =
        serde_json::from_str(&text).with_context(|| format!("{} is not a plan", path.display()))?;
    anyhow::ensure!(
        plan.schema == PLAN_SCHEMA,
        "{} has schema {}, not {PLAN_SCHEMA}",
        path.display(),
        plan.schema
    );
    Ok(plan)
}

/// A folder's name for a scenario: its index and its words.
pub fn drill_folder_name(index: usize, scenario: &str, without: &[String]) -> String {
    let mut words: String = scenario
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    while words.contains("--") {
        words = words.replace("--", "-");
    }
    let words: String = words.trim_matches('-').chars().take(48).collect();
    let words = words.trim_end_matches('-');
    match without {
        [] => format!("{index:04}-{words}"),
        names => format!("{index:04}-{words}.without-{}", names.join("+")),
    }
}
