//! Reads everything that a person wrote, all of it, before anything starts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use firedrill_oracle::{Expectation, Invariant};

use super::{arguments::SystemFiles, exit::Refusal};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Source},
    feature::{self, Feature, Vocabulary},
    profile::Profiles,
    steps::vocabulary::KnownSteps,
    system::Observations,
    topology::Topology,
};

/// The system, its faults and where its facts are read.
pub struct System {
    /// The workspace: the folder that holds `system-under-test/`.
    pub root: PathBuf,
    /// The system.
    pub topology: Arc<Topology>,
    /// The faults.
    pub profiles: Arc<Profiles>,
    /// The folder they were read from.
    pub profiles_folder: PathBuf,
    /// Where facts are read.
    pub observations: Arc<Observations>,
    /// The file that says so.
    pub observations_path: PathBuf,
}

impl System {
    /// Reads topology, profiles and observations; all mistakes of all files at once.
    ///
    /// # Errors
    /// No system is described here, or its description has mistakes.
    pub fn load(files: &SystemFiles) -> Result<Self, Refusal> {
        let root = find_root(files)?;
        let topology_path = files
            .topology
            .clone()
            .unwrap_or_else(|| root.join("system-under-test/topology.toml"));
        let topology = Topology::load(&topology_path)?;
        Self::load_rest(root, topology, files)
    }

    /// The system of a recorded run: its files as they were, its programs and migrations as they are now.
    ///
    /// # Errors
    /// As [`System::load`].
    pub fn load_recorded(given: &Path) -> Result<Self, Refusal> {
        let files = SystemFiles {
            topology: None,
            observations: Some(given.join("observations.toml")),
            profiles: Some(given.join("fault-profiles")),
        };
        let root = find_root(&files)?;
        let source = Source::read(&given.join("topology.toml"))?;
        let topology = Topology::parse(source, root.join("system-under-test"))?;
        Self::load_rest(root, topology, &files)
    }

    fn load_rest(root: PathBuf, topology: Topology, files: &SystemFiles) -> Result<Self, Refusal> {
        let observations_path = files
            .observations
            .clone()
            .unwrap_or_else(|| topology.path.with_file_name("observations.toml"));
        let profiles_folder = files
            .profiles
            .clone()
            .unwrap_or_else(|| root.join("fault-profiles"));
        let mut mistakes = Vec::new();
        let profiles = keep(Profiles::load(&profiles_folder, &topology), &mut mistakes);
        let observations = keep(
            Observations::load(&observations_path, &topology),
            &mut mistakes,
        );
        let (Some(profiles), Some(observations)) = (profiles, observations) else {
            return Err(Diagnostics(mistakes).into());
        };
        Ok(Self {
            root,
            topology: Arc::new(topology),
            profiles: Arc::new(profiles),
            profiles_folder,
            observations: Arc::new(observations),
            observations_path,
        })
    }

    /// Reads the features that `paths` name and keeps the scenarios that are meant, every name in them checked.
    ///
    /// # Errors
    /// They have mistakes, or nothing is chosen.
    pub fn select(&self, paths: &[String], tags: Option<&str>) -> Result<Vec<Feature>, Refusal> {
        let steps = KnownSteps {
            profiles: &self.profiles,
            topology: &self.topology,
        };
        let findings = Invariant::ALL
            .iter()
            .map(|invariant| invariant.name())
            .chain(Expectation::NAMES);
        let vocabulary = Vocabulary::new(&self.topology, findings).with_steps(&steps);
        Ok(feature::select(paths, tags, &vocabulary)?)
    }

    /// The folder with all features.
    pub fn all_features(&self) -> String {
        self.root.join("features").display().to_string()
    }

    /// What a newcomer sees first.
    pub fn quickstart(&self) -> String {
        self.root
            .join("features/quickstart.feature")
            .display()
            .to_string()
    }
}

fn keep<T>(read: Result<T, Diagnostics>, mistakes: &mut Vec<Diagnostic>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(Diagnostics(found)) => {
            mistakes.extend(found);
            None
        }
    }
}

fn find_root(files: &SystemFiles) -> Result<PathBuf, Refusal> {
    if let Some(topology) = &files.topology {
        let folder = topology
            .parent()
            .and_then(Path::parent)
            .filter(|folder| !folder.as_os_str().is_empty());
        return Ok(folder.unwrap_or(Path::new(".")).to_owned());
    }
    let here = std::env::current_dir()
        .map_err(|error| Refusal::Usage(format!("the current folder cannot be read: {error}")))?;
    here.ancestors()
        .find(|folder| folder.join("system-under-test/topology.toml").is_file())
        .map(Path::to_owned)
        .ok_or_else(|| {
            Refusal::Usage(format!(
                "no system-under-test/topology.toml in {} or above it: go to the workspace, or name the file with --topology",
                here.display()
            ))
        })
}
