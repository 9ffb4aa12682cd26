//! What a run holds on this machine, and how a later run recognises and removes what a dead one left.
//!
//! Everything of a run lies in one private folder with a short path, `/tmp/firedrill-<uid>/<pid>-<start time>-<n>`.
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
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, getuid, pidfd_open, pidfd_send_signal};

use super::processes::wait_for_end;
use crate::testbed::TestbedError;

/// The environment variable that every process of a run carries; its value is the run's folder.
pub const RUN_VARIABLE: &str = "FIREDRILL_RUN";
const OWNER_FILE: &str = "owner";
const TEMPORARY_FOLDER: &str = "tmp";
const LOCK_FILE: &str = "lock";
/// Others may pass through (the database server runs as another user), not look.
const FOLDER_MODE: u32 = 0o711;
/// How long a killed leftover may take to vanish.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// The private folder of a live run. Dropping it removes it; [`remove`](Self::remove) also tells what went wrong.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    removed: AtomicBool,
    _locked_owner: File,
}

/// What a clean-up found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanReport {
    /// Folders of dead runs that were removed.
    pub runs: Vec<PathBuf>,
    /// Processes of dead runs that were killed.
    pub processes: Vec<u32>,
    /// Shared memory segments of dead runs' database servers that were removed.
    pub shared_memory: Vec<i32>,
    /// Caches that were removed.
    pub caches: Vec<PathBuf>,
    /// Live runs that were left alone.
    pub spared: Vec<PathBuf>,
    /// What could not be removed, and why.
    pub failures: Vec<String>,
}

/// Where runs keep their folders: `/tmp/firedrill-<uid>`, short because unix sockets allow only 107 bytes.
#[must_use]
pub fn runs_folder() -> PathBuf {
    PathBuf::from(format!("/tmp/firedrill-{}", getuid().as_raw()))
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

/// Removes what dead runs left below `runs`: folders, processes that carry their mark, shared memory. Never touches a
/// live run.
#[must_use]
pub fn sweep(runs: &Path) -> CleanReport {
    let mut report = CleanReport::default();
    let alone = match lock_runs(runs) {
        Ok(alone) => alone,
        Err(error) => {
            report.failures.push(format!("{}: {error}", runs.display()));
            return report;
        }
    };
    let (dead, live) = split_by_life(runs, &mut report);
    report.spared.extend(live);
    for run in dead {
        remove_run(&run, &mut report);
        report.runs.push(run);
    }
    kill_orphans_of_removed_runs(runs, &mut report);
    drop(alone);
    report
}

fn split_by_life(runs: &Path, report: &mut CleanReport) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut dead, mut live) = (Vec::new(), Vec::new());
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) => {
            report.failures.push(format!("{}: {error}", runs.display()));
            return (dead, live);
        }
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            if is_live(&path) {
                live.push(path)
            } else {
                dead.push(path)
            }
        }
    }
    (dead, live)
}

/// A run lives as long as its owner file is locked. A file that cannot be read counts as live: nothing is removed that
/// is not known to be dead.
fn is_live(run: &Path) -> bool {
    match File::open(run.join(OWNER_FILE)) {
        Ok(owner) => !matches!(owner.try_lock(), Ok(())),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn remove_run(run: &Path, report: &mut CleanReport) {
    // Twice: something may have been between fork and exec, not yet carrying the mark, at the first look.
    for _ in 0..2 {
        kill_marked(run, report);
    }
    super::shared_memory::remove_segments_of(run, report);
    if let Err(error) = fs::remove_dir_all(run)
        && error.kind() != io::ErrorKind::NotFound
    {
        report.failures.push(format!("{}: {error}", run.display()));
    }
}

fn kill_marked(run: &Path, report: &mut CleanReport) {
    let killed: Vec<_> = all_processes()
        .filter(|&pid| belongs_to(pid, run))
        .filter_map(|pid| kill_verified(pid, |pid| belongs_to(pid, run), report))
        .collect();
    for (pid, descriptor) in killed {
        if wait_for_end(&descriptor, KILL_LIMIT) {
            report.processes.push(pid);
        } else {
            report
                .failures
                .push(format!("process {pid} of {} does not die", run.display()));
        }
    }
}

/// A run that ended in good order has no folder any more; a process that still carries its mark is a leftover too.
fn kill_orphans_of_removed_runs(runs: &Path, report: &mut CleanReport) {
    let is_orphan =
        |pid: u32| marked_run(pid).is_some_and(|run| run.parent() == Some(runs) && !run.exists());
    for pid in all_processes().filter(|&pid| is_orphan(pid)) {
        if let Some((pid, descriptor)) = kill_verified(pid, is_orphan, report)
            && wait_for_end(&descriptor, KILL_LIMIT)
        {
            report.processes.push(pid);
        }
    }
}

/// Looks again once the descriptor is open: from then on the number cannot mean another process.
fn kill_verified(
    pid: u32,
    is_meant: impl Fn(u32) -> bool,
    report: &mut CleanReport,
) -> Option<(u32, rustix::fd::OwnedFd)> {
    let descriptor = pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()?;
    if !is_meant(pid) {
        return None;
    }
    match pidfd_send_signal(&descriptor, Signal::KILL) {
        Ok(()) => Some((pid, descriptor)),
        Err(rustix::io::Errno::SRCH) => None,
        Err(error) => {
            report.failures.push(format!("process {pid}: {error}"));
            None
        }
    }
}

fn all_processes() -> impl Iterator<Item = u32> {
    let own = std::process::id();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(move |pid| *pid != own)
}

/// By its mark, or by its working folder: PostgreSQL's children overwrite their environment with their title.
fn belongs_to(pid: u32, run: &Path) -> bool {
    marked_run(pid).is_some_and(|marked| marked == run)
        || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder.starts_with(run))
}

fn marked_run(pid: u32) -> Option<PathBuf> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment.split(|byte| *byte == 0).find_map(|pair| {
        let value = pair
            .strip_prefix(RUN_VARIABLE.as_bytes())?
            .strip_prefix(b"=")?;
        Some(PathBuf::from(std::str::from_utf8(value).ok()?))
    })
}

/// Claims and sweeps exclude each other, so that no folder is seen before its owner file is locked.
fn lock_runs(runs: &Path) -> io::Result<File> {
    if let Err(error) = make_folder(runs, FOLDER_MODE)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    // Anybody may make a folder in /tmp: it must be ours, and no link to elsewhere.
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

    /// What SIGKILL leaves: the lock goes, the folder stays.
    fn die(run: RunFolder) {
        run.removed.store(true, Ordering::Relaxed);
    }

    fn private_folder() -> tempfile::TempDir {
        tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .expect("a folder")
    }

    #[test]
    fn a_live_run_is_spared_and_a_dead_one_removed() {
        let runs = private_folder();
        let live = RunFolder::claim(runs.path()).expect("claimed");
        let dead = RunFolder::claim(runs.path()).expect("claimed");
        let dead_path = dead.path().to_owned();
        die(dead);
        let report = sweep(runs.path());
        assert_eq!(report.runs, [dead_path.as_path()]);
        assert_eq!(report.spared, [live.path().to_owned()]);
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        assert!(!dead_path.exists());
        assert!(live.path().exists());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let runs = private_folder();
        fs::set_permissions(runs.path(), fs::Permissions::from_mode(0o777)).expect("chmod");
        assert!(RunFolder::claim(runs.path()).is_err());
    }

    #[test]
    fn a_link_is_refused() {
        let runs = private_folder();
        let link = runs.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).expect("link");
        assert!(RunFolder::claim(&link).is_err());
    }

    #[test]
    fn a_process_with_the_mark_of_a_dead_run_is_killed() {
        let runs = private_folder();
        let dead = RunFolder::claim(runs.path()).expect("claimed");
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env(RUN_VARIABLE, dead.path())
            .spawn()
            .expect("sleep runs");
        die(dead);
        let report = sweep(runs.path());
        assert!(report.processes.contains(&child.id()), "{report:?}");
        assert!(!child.wait().expect("it was ours").success());
    }

    #[test]
    fn the_own_start_time_is_known() {
        assert!(start_time(std::process::id()).is_some_and(|ticks| ticks > 0));
    }
}
