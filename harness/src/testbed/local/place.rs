//! Where runs keep their folders: in memory where there is room, else on disk.
//!
//! Every drill gets databases of its own, some 300 files each, and nothing of them need outlive the run. Making the eight
//! of a pipeline took 1.0 s of a core on a disk (ext4) and 0.14 s in memory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{statfs, statvfs},
    process::getuid,
};

/// A folder in memory that every Linux has for shared memory; in containers it is often too small.
const IN_MEMORY: &str = "/dev/shm";
/// The other place; short, because unix sockets allow only 107 bytes.
const ON_DISK: &str = "/tmp";
/// The kernel's name for a file system in memory (`TMPFS_MAGIC`).
const TMPFS: i64 = 0x0102_1994;
/// Room that a run may need there: 60 MB of databases for each pipeline, and the database server's log.
const ROOM_BYTES: u64 = 2 << 30;
/// Memory that must be available, with what the pipelines themselves take.
const MEMORY_BYTES: u64 = 6 << 30;

/// Where this user's runs may have kept folders, the place for the next run included.
#[must_use]
pub fn runs_folders() -> [PathBuf; 2] {
    [IN_MEMORY, ON_DISK].map(of_this_user)
}

/// Where a run that starts now keeps its folder.
#[must_use]
pub fn runs_folder() -> PathBuf {
    let memory = available_memory_bytes();
    let in_memory = is_tmpfs(IN_MEMORY) && free_bytes(IN_MEMORY) >= ROOM_BYTES;
    of_this_user(if in_memory && memory >= MEMORY_BYTES {
        IN_MEMORY
    } else {
        ON_DISK
    })
}

fn of_this_user(place: &str) -> PathBuf {
    Path::new(place).join(format!("firedrill-{}", getuid().as_raw()))
}

fn is_tmpfs(place: &str) -> bool {
    #[allow(
        clippy::unnecessary_cast,
        reason = "the type differs from one architecture to another"
    )]
    statfs(place).is_ok_and(|found| found.f_type as i64 == TMPFS)
}

fn free_bytes(place: &str) -> u64 {
    statvfs(place).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize))
}

/// What the machine has left, or what this process's group of processes (cgroup v2) may still take, whichever is less.
fn available_memory_bytes() -> u64 {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let number = |path: &str| text(path).trim().parse::<u64>().ok();
    let of_machine = available_bytes(&text("/proc/meminfo")).unwrap_or(0);
    let of_group = match (
        number("/sys/fs/cgroup/memory.max"),
        number("/sys/fs/cgroup/memory.current"),
    ) {
        (Some(limit), Some(taken)) => limit.saturating_sub(taken),
        _ => u64::MAX,
    };
    of_machine.min(of_group)
}

fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_always_in_a_place_that_is_swept() {
        assert!(runs_folders().contains(&runs_folder()));
    }

    #[test]
    fn what_is_available_is_read_as_the_kernel_writes_it() {
        let meminfo = "MemTotal:       24000000 kB\nMemAvailable:   20000000 kB\n";
        assert_eq!(available_bytes(meminfo), Some(20_000_000 * 1024));
        assert_eq!(available_bytes("MemTotal: 1 kB\n"), None);
    }
}
