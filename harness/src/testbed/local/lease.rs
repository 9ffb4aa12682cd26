//! What a run holds on this machine.
//!
//! Everything of a run lies in one private folder with a short path, `<place>/firedrill-<uid>/<pid>-<start time>-<n>`.
//! Its `owner` file names the process and is locked as long as that lives; the kernel releases the lock at death,
//! however it comes. Every process of the run carries the folder's path in its environment (`FIREDRILL_RUN`).

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use rustix::process::getuid;

use super::sweep::{CleanReport, remove_run};
use crate::testbed::TestbedError;

/// The environment variable that every process of a run carries; its value is the run's folder.
pub const RUN_VARIABLE: &str = "FIREDRILL_RUN";
pub(super) const OWNER_FILE: &str = "owner";
const TEMPORARY_FOLDER: &str = "tmp";
const LOCK_FILE: &str = "lock";
/// Others may pass through (the database server runs as another user), not look.
const FOLDER_MODE: u32 = 0o711;

/// The private folder of a live run. Dropping it removes it; [`remove`](Self::remove) also tells what went wrong.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    pub(super) removed: AtomicBool,
    _locked_owner: File,
}

impl RunFolder {
    /// Claims a new folder below `runs`.
    ///
    /// # Errors
    /// The folder cannot be made, or `runs` belongs to somebody else.
    pub fn claim(runs: &Path) -> Result<Self, TestbedError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let failed = |error: io::Error| TestbedError::Failed {
            doing: format!("making a folder for this run in {}", runs.display()),
            reason: error.to_string(),
        };
        let _alone = lock_runs(runs).map_err(failed)?;
        let name = format!(
            "{}-{:x}-{}",
            std::process::id(),
            start_time(std::process::id()).unwrap_or(0),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = runs.join(name);
        make_folder(&path, FOLDER_MODE).map_err(failed)?;
        // For the files of every process, whoever it runs as; gone with the run.
        make_folder(&path.join(TEMPORARY_FOLDER), 0o1777).map_err(failed)?;
        let owner = File::create_new(path.join(OWNER_FILE)).map_err(failed)?;
        owner.try_lock().map_err(|error| failed(error.into()))?;
        write_owner(&owner).map_err(failed)?;
        Ok(Self {
            path,
            removed: AtomicBool::new(false),
            _locked_owner: owner,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What every process of the run gets: where programs are, where temporary files go, and the run's mark.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<OsString, OsString> {
        let mut environment: BTreeMap<OsString, OsString> = ["PATH", "HOME"]
            .into_iter()
            .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
            .collect();
        environment.insert("TMPDIR".into(), self.path.join(TEMPORARY_FOLDER).into());
        environment.insert(RUN_VARIABLE.into(), self.path.clone().into());
        environment
    }

    /// Makes a folder in it that only this user can look into.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_private(&self, name: &str) -> Result<PathBuf, TestbedError> {
        let path = self.path.join(name);
        make_folder(&path, 0o700).map_err(|error| TestbedError::Failed {
            doing: format!("making {}", path.display()),
            reason: error.to_string(),
        })?;
        Ok(path)
    }

    /// Ends whatever still carries this run's mark and removes the folder.
    ///
    /// # Errors
    /// Something could not be removed; all complaints in one message.
    pub fn remove(&self) -> Result<(), TestbedError> {
        self.removed.store(true, Ordering::Relaxed);
        let mut report = CleanReport::default();
        remove_run(&self.path, &mut report);
        if report.failures.is_empty() {
            return Ok(());
        }
        Err(TestbedError::Failed {
            doing: format!("removing {}", self.path.display()),
            reason: report.failures.join("; "),
        })
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if !self.removed.load(Ordering::Relaxed) {
            let mut report = CleanReport::default();
            remove_run(&self.path, &mut report);
            for failure in report.failures {
                tracing::error!("{failure}");
            }
        }
    }
}

/// Claims and sweeps exclude each other, so that no folder is seen before its owner file is locked.
pub(super) fn lock_runs(runs: &Path) -> io::Result<File> {
    if let Err(error) = make_folder(runs, FOLDER_MODE)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    // Anybody may make a folder in such a place: it must be ours, and no link to elsewhere.
    let found = fs::symlink_metadata(runs)?;
    if !found.is_dir() || found.uid() != getuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "it is not a folder that only this user can write to; remove it",
        ));
    }
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(runs.join(LOCK_FILE))?;
    lock.lock()?;
    Ok(lock)
}

fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)?;
    // The process' umask may have taken more away than was meant.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn write_owner(mut file: &File) -> io::Result<()> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let pid = std::process::id();
    let command: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    writeln!(file, "boot {}", boot.trim())?;
    writeln!(file, "pid {pid}")?;
    writeln!(file, "start {}", start_time(pid).unwrap_or(0))?;
    writeln!(file, "command {}", command.join(" "))
}

/// When a process started, in the kernel's ticks since boot.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name and may hold anything; the start time is the twentieth after it.
    stat[stat.rfind(')')? + 1..]
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_start_time_is_known() {
        assert!(start_time(std::process::id()).is_some_and(|ticks| ticks > 0));
    }
}
