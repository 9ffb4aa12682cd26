//! Fault profiles: a fault as a value, with a name and a reason, in a file that can be read aloud.
//!
//! The name of a profile is the name of its file. All profiles of a folder are read and held against the topology before
//! anything is started; every mistake is told with its place and what to do about it.

mod check;
mod file;
mod readme;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

pub use file::schema;
pub use readme::readme;

use crate::{
    diagnostic::{self, Diagnostic, Diagnostics},
    document::Document,
    fault::Fault,
    topology::Topology,
};

/// Files of the folder that are something else than a profile.
const NO_PROFILES: &[&str] = &["explore.toml"];

/// The profiles of a folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profiles {
    by_name: BTreeMap<String, Profile>,
}

/// A fault, or a timed sequence of faults, with a name and a reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name, that of its file.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Rows of the failure catalogue, `6.5`.
    pub catalogue: Vec<String>,
    /// What happens, one sentence.
    pub summary: String,
    /// What it does.
    pub content: Content,
}

/// What a profile does.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// One fault.
    Fault(Fault),
    /// Faults one after the other, by their starts.
    Sequence(Vec<Step>),
}

/// A fault at its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When it comes into force, from the start of the sequence.
    pub at: Duration,
    /// How long it lasts; until the whole sequence heals when none is given.
    pub lasting: Option<Duration>,
    /// The fault.
    pub fault: Fault,
}

impl Profiles {
    /// Reads all profiles of a folder and holds them against the topology.
    ///
    /// # Errors
    /// The folder cannot be read, or files have mistakes; every one is named.
    pub fn load(folder: &Path, topology: &Topology) -> Result<Self, Diagnostics> {
        let mut found = Vec::new();
        let mut files = Vec::new();
        for path in profile_files(folder)? {
            match file::File::read(&path, topology) {
                Ok(file) => files.push(file),
                Err(Diagnostics(mistakes)) => found.extend(mistakes),
            }
        }
        let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        let faults: BTreeMap<String, Fault> = files
            .iter()
            .filter_map(|file| Some((file.name.clone(), file.fault()?.clone())))
            .collect();
        let mut by_name = BTreeMap::new();
        for file in files {
            match file.resolve(&names, &faults) {
                Ok(profile) => {
                    by_name.insert(profile.name.clone(), profile);
                }
                Err(Diagnostics(mistakes)) => found.extend(mistakes),
            }
        }
        Diagnostics::unless_empty(Self { by_name }, found)
    }

    /// The profile of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.by_name.get(name)
    }

    /// The known name that is most like `name`, if any is like it at all.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        diagnostic::nearest(name, self.names())
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.by_name.keys().map(String::as_str)
    }

    /// The profiles, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.by_name.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl Profile {
    /// The faults with their times; a single fault starts at once and lasts until it is healed.
    #[must_use]
    pub fn timeline(&self) -> Vec<Step> {
        match &self.content {
            Content::Fault(fault) => vec![Step {
                at: Duration::ZERO,
                lasting: None,
                fault: fault.clone(),
            }],
            Content::Sequence(steps) => steps.clone(),
        }
    }

    /// What is hurt, in the words of the topology.
    #[must_use]
    pub fn target(&self) -> String {
        let mut targets: Vec<String> = self
            .timeline()
            .iter()
            .map(|step| step.fault.target())
            .collect();
        targets.dedup();
        targets.join(", then ")
    }
}

/// A profile from text at hand, as a scenario that was found by exploring carries it.
///
/// # Errors
/// The text has mistakes; every one is named. Sequences need a folder of profiles and are refused.
pub fn parse(document: Document, name: &str, topology: &Topology) -> Result<Profile, Diagnostics> {
    file::File::parse(document, name.to_owned(), topology)?.resolve(&[], &BTreeMap::new())
}

/// The folder's `.toml` files, by name.
fn profile_files(folder: &Path) -> Result<Vec<PathBuf>, Diagnostics> {
    let unreadable = |error: std::io::Error| {
        Diagnostics::from(Diagnostic::whole(
            diagnostic::shown_path(folder),
            format!("the fault profiles cannot be read: {error}"),
            Some("name the folder with the fault profiles".to_owned()),
        ))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_profile = path
            .extension()
            .is_some_and(|extension| extension == "toml")
            && !NO_PROFILES.iter().any(|other| path.ends_with(other));
        if is_profile {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
