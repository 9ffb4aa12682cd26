//! Builds the components of this workspace before they are started, so that nobody ever drills a stale binary.
//!
//! All of them in one call of cargo, with the profile and the target folder of the running command; cargo itself says
//! where each binary lies. Cargo gives its lock on the target folder up before it runs a program, so this works under
//! `cargo run` and `cargo test` too.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::{OsStr, OsString},
    io::{self, BufRead, BufReader, PipeReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::process::Signal;
use serde::Deserialize;

use super::processes::{DeathSignal, Launch, Output, Process, Processes};
use crate::testbed::TestbedError;

/// Who is told what the testbed is busy with, line by line.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// How much of cargo's complaints a message repeats, in lines.
const MOST_LINES: usize = 60;
/// Variables that cargo sets for the program it runs. A cargo that inherited them would take them for changes of the
/// environment and rebuild what looks at them.
const OF_OUTER_CARGO: [&str; 10] = [
    "CARGO",
    "CARGO_CRATE_NAME",
    "CARGO_BIN_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_MAKEFLAGS",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
    "OUT_DIR",
];
const PREFIXES_OF_OUTER_CARGO: [&str; 4] = [
    "CARGO_PKG_",
    "CARGO_BIN_EXE_",
    "CARGO_CFG_",
    "CARGO_FEATURE_",
];

/// Builds packages and answers where the binary of each lies. The folder is one of the workspace's.
///
/// # Errors
/// Cargo is missing, a package does not build, or a package has no binary of its own name.
pub async fn build(
    processes: &Processes,
    packages: &BTreeSet<String>,
    folder: &Path,
    progress: &Progress,
) -> Result<BTreeMap<String, PathBuf>, TestbedError> {
    if packages.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    let failed = |reason: String| TestbedError::Failed {
        doing: format!("building {}", names.join(", ")),
        reason,
    };
    let (artifacts, out) = io::pipe().map_err(|error| failed(error.to_string()))?;
    let (messages, err) = io::pipe().map_err(|error| failed(error.to_string()))?;
    let launch = Launch {
        program: std::env::var_os("CARGO")
            .unwrap_or_else(|| "cargo".into())
            .into(),
        arguments: arguments(packages, std::env::current_exe().ok().as_deref()),
        folder: folder.to_owned(),
        environment: std::env::vars_os()
            .filter(|(name, _)| !is_of_outer_cargo(name))
            .collect(),
        log: PathBuf::new(),
        user: None,
        death_signal: DeathSignal::Kill,
    };
    let cargo = EndOnDrop(
        processes
            .spawn_into(launch, Output { out, err })
            .await
            .map_err(|error| TestbedError::Missing {
                what: "cargo".to_owned(),
                remedy: error.to_string(),
            })?,
    );
    let progress = Arc::clone(progress);
    let artifacts = tokio::task::spawn_blocking(move || read_artifacts(artifacts));
    let messages = tokio::task::spawn_blocking(move || pass_on(messages, &progress));
    let status = cargo.0.wait().await;
    let complaints = messages.await.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(complaints));
    }
    let built = artifacts.await.map_err(|error| failed(error.to_string()))?;
    for package in packages {
        if !built.contains_key(package) {
            return Err(failed(format!(
                "package {package} has no binary of the same name"
            )));
        }
    }
    Ok(built)
}

/// An interrupted harness leaves no cargo behind.
struct EndOnDrop(Process);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let _ = self.0.signal_group(Signal::KILL);
    }
}

fn arguments(packages: &BTreeSet<String>, running: Option<&Path>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![
        "build".into(),
        "--message-format=json-render-diagnostics".into(),
        // Features are resolved over the packages that are named: with fewer than all of them, dependencies would be
        // built a second time with other features.
        "--workspace".into(),
    ];
    for package in packages {
        arguments.extend(["--bin".into(), package.into()]);
    }
    if let Some(place) = running.and_then(Place::of) {
        arguments.extend(["--target-dir".into(), place.target_folder.into()]);
        arguments.extend(["--profile".into(), place.profile]);
        if let Some(platform) = place.platform {
            arguments.extend(["--target".into(), platform]);
        }
    }
    arguments
}

/// Where in a target folder the running program lies.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    target_folder: PathBuf,
    platform: Option<OsString>,
    profile: OsString,
}

impl Place {
    /// `TARGET/debug/firedrill` or `TARGET/PLATFORM/release/deps/firedrill-0123`; none for an installed program, which
    /// builds as the workspace does by default.
    fn of(program: &Path) -> Option<Self> {
        let mut folder = program.parent()?;
        if matches!(
            folder.file_name().and_then(OsStr::to_str),
            Some("deps" | "examples")
        ) {
            folder = folder.parent()?;
        }
        let profile = match folder.file_name()?.to_str()? {
            "debug" => "dev",
            other => other,
        };
        let above = folder.parent()?;
        let is_target = |folder: &Path| folder.join("CACHEDIR.TAG").is_file();
        let (target_folder, platform) = if is_target(above) {
            (above, None)
        } else {
            (
                above.parent().filter(|folder| is_target(folder))?,
                above.file_name(),
            )
        };
        Some(Self {
            target_folder: target_folder.to_owned(),
            platform: platform.map(OsStr::to_owned),
            profile: profile.into(),
        })
    }
}

fn is_of_outer_cargo(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    OF_OUTER_CARGO.contains(&name.as_ref())
        || PREFIXES_OF_OUTER_CARGO
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// One line of cargo's answer; other reasons have other fields.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    #[serde(default)]
    executable: Option<PathBuf>,
    #[serde(default)]
    target: Option<ArtifactTarget>,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    name: String,
}

fn read_artifacts(answer: PipeReader) -> BTreeMap<String, PathBuf> {
    BufReader::new(answer)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| parse_artifact(&line))
        .collect()
}

fn parse_artifact(line: &str) -> Option<(String, PathBuf)> {
    let artifact: Artifact = serde_json::from_str(line).ok()?;
    if artifact.reason != "compiler-artifact" {
        return None;
    }
    Some((artifact.target?.name, artifact.executable?))
}

/// Tells what is being compiled, and keeps the last lines for a message. A warm tree says nothing.
fn pass_on(messages: PipeReader, progress: &Progress) -> String {
    let mut last = VecDeque::new();
    for line in BufReader::new(messages).lines().map_while(Result::ok) {
        let line = line.trim_end().to_owned();
        if !line.trim_start().starts_with("Finished") && !line.is_empty() {
            progress(&line);
        }
        if last.len() == MOST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    last.into_iter().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_programs_profile_and_target_folder_are_used() {
        let target = tempfile::tempdir().expect("a folder");
        std::fs::write(target.path().join("CACHEDIR.TAG"), "").expect("written");
        let place = |path: &str| Place::of(&target.path().join(path));
        let debug = place("debug/deps/testbed-0123").expect("a test binary");
        assert_eq!(debug.profile, "dev");
        assert_eq!(debug.target_folder, target.path());
        let crossed =
            place("x86_64-unknown-linux-musl/release/firedrill").expect("a crossed binary");
        assert_eq!(crossed.profile, "release");
        assert_eq!(
            crossed.platform.as_deref(),
            Some(OsStr::new("x86_64-unknown-linux-musl"))
        );
        assert_eq!(Place::of(Path::new("/usr/local/bin/firedrill")), None);
    }

    #[test]
    fn only_binaries_are_read_from_cargos_answer() {
        let binary = r#"{"reason":"compiler-artifact","target":{"name":"order-service","kind":["bin"]},"executable":"/t/order-service"}"#;
        assert_eq!(
            parse_artifact(binary),
            Some(("order-service".into(), "/t/order-service".into()))
        );
        let library =
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#;
        assert_eq!(parse_artifact(library), None);
        assert_eq!(
            parse_artifact(r#"{"reason":"build-finished","success":true}"#),
            None
        );
    }

    #[test]
    fn what_the_outer_cargo_set_is_not_passed_on() {
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "OUT_DIR"] {
            assert!(is_of_outer_cargo(OsStr::new(name)), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_PROFILE_DEV_DEBUG",
            "PATH",
        ] {
            assert!(!is_of_outer_cargo(OsStr::new(name)), "{name}");
        }
    }
}
