//! What outlives a run on purpose: fetched server programs and pre-made clusters.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::process::getuid;

use super::sweep::CleanReport;
use crate::testbed::TestbedError;

/// The environment variable that names another cache folder.
const FOLDER_VARIABLE: &str = "FIREDRILL_CACHE";
/// As root the database server runs as another user, who cannot look into root's home.
const FOLDER_OF_ROOT: &str = "/var/cache/firedrill";

/// A lock on something in the cache; the kernel releases it with the process.
#[derive(Debug)]
pub(super) struct CacheLock {
    _file: fs::File,
}

/// The user's cache folder; it need not exist yet.
///
/// # Errors
/// Neither `FIREDRILL_CACHE` nor `XDG_CACHE_HOME` nor `HOME` is set.
pub fn folder() -> Result<PathBuf, TestbedError> {
    if let Some(folder) = set(FOLDER_VARIABLE) {
        return Ok(folder);
    }
    if getuid().is_root() {
        return Ok(PathBuf::from(FOLDER_OF_ROOT));
    }
    set("XDG_CACHE_HOME")
        .or_else(|| Some(set("HOME")?.join(".cache")))
        .map(|caches| caches.join("firedrill"))
        .ok_or_else(|| TestbedError::Missing {
            what: "a folder for caches".to_owned(),
            remedy: format!("set HOME or {FOLDER_VARIABLE}"),
        })
}

fn set(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Makes the folder if need be, and waits until nobody else makes `what`.
pub(super) async fn lock(folder: &Path, what: &str) -> Result<CacheLock, TestbedError> {
    let path = folder.join(format!("{what}.lock"));
    let failed = |error: io::Error| TestbedError::Failed {
        doing: format!("locking {}", path.display()),
        reason: error.to_string(),
    };
    make_reachable(folder).map_err(failed)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    match locked {
        Ok(Ok(file)) => Ok(CacheLock { _file: file }),
        Ok(Err(error)) => Err(failed(error)),
        Err(error) => Err(failed(io::Error::other(error))),
    }
}

/// Makes a folder that every user may pass through, whatever the umask is: the database server may run as another one.
fn make_reachable(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_reachable(parent)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(0o755)),
        // Somebody else was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes the whole cache; only while no run lives, since a server loads parts of itself when they are first used.
pub(super) fn remove(folder: &Path, report: &mut CleanReport) {
    match fs::remove_dir_all(folder) {
        Ok(()) => report.caches.push(folder.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => report
            .failures
            .push(format!("{}: {error}", folder.display())),
    }
}
