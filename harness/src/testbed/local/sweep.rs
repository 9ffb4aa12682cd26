//! How a later run recognises and removes what a dead one left: folders, processes, shared memory.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{
    lease::{OWNER_FILE, RUN_VARIABLE, lock_runs},
    processes::wait_for_end,
    shared_memory,
};

/// How long a killed leftover may take to vanish.
const KILL_LIMIT: Duration = Duration::from_secs(5);

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

impl CleanReport {
    /// Adds what another clean-up found and did.
    pub(super) fn add(&mut self, other: Self) {
        let Self {
            runs,
            processes,
            shared_memory,
            caches,
            spared,
            failures,
        } = other;
        self.runs.extend(runs);
        self.processes.extend(processes);
        self.shared_memory.extend(shared_memory);
        self.caches.extend(caches);
        self.spared.extend(spared);
        self.failures.extend(failures);
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

pub(super) fn remove_run(run: &Path, report: &mut CleanReport) {
    // Twice: something may have been between fork and exec, not yet carrying the mark, at the first look.
    for _ in 0..2 {
        kill_marked(run, report);
    }
    shared_memory::remove_segments_of(run, report);
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

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, sync::atomic::Ordering};

    use super::*;
    use crate::testbed::local::lease::{RUN_VARIABLE, RunFolder};

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
        // A child may be seen for a moment between its birth and its program, without an environment yet.
        let environment = format!("/proc/{}/environ", child.id());
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !std::fs::read_to_string(&environment).is_ok_and(|text| text.contains(RUN_VARIABLE)) {
            assert!(
                std::time::Instant::now() < limit,
                "sleep never got its environment"
            );
            std::thread::yield_now();
        }
        die(dead);
        let report = sweep(runs.path());
        assert!(report.processes.contains(&child.id()), "{report:?}");
        assert!(!child.wait().expect("it was ours").success());
    }
}
