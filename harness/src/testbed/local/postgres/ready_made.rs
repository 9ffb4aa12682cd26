//! Clusters that have been made before: a run copies one instead of waiting for initdb.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use super::{ClusterPlan, scram};
use crate::testbed::{
    TestbedError,
    local::{
        cache, log_tail,
        processes::{DeathSignal, Launch, User},
    },
};

/// Settings of every cluster. A drill may kill processes but does not cut the machine's power, so nothing need reach
/// the disk; everything else is as honest as in production: a commit is in the write-ahead log, and with the kernel,
/// before it is acknowledged, so it survives a SIGKILL of the server. Dynamic shared memory lies in the data folder,
/// so that a killed server leaves nothing in /dev/shm.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 1GB
checkpoint_timeout = 1h
shared_buffers = 128MB
dynamic_shared_memory_type = mmap
autovacuum = off
jit = off
max_parallel_workers = 0
bgwriter_lru_maxpages = 0
password_encryption = 'scram-sha-256'
log_line_prefix = '%m [%p] %d '
log_checkpoints = off
lc_messages = 'C'
timezone = 'UTC'
";
/// Loopback only, and nobody without a password.
const ACCESS: &str = "host all all 127.0.0.1/32 scram-sha-256\n";
const INITDB_ARGUMENTS: [&str; 6] = [
    "--no-sync",
    "--no-locale",
    "--encoding=UTF8",
    "--wal-segsize=1",
    "--auth=scram-sha-256",
    "--username=firedrill",
];

/// The cache's cluster for this version and these settings.
pub(super) async fn ready_made(plan: &ClusterPlan<'_>) -> Result<PathBuf, TestbedError> {
    let clusters = plan.cache.join("clusters");
    let home = clusters.join(format!("{}-{}", plan.programs.version, fingerprint()));
    if home.exists() {
        return Ok(home);
    }
    let _alone = cache::lock(&clusters, "clusters").await?;
    if !home.exists() {
        make(plan, &home).await?;
    }
    Ok(home)
}

/// Tells clusters with other settings apart.
fn fingerprint() -> String {
    let all = format!("{SETTINGS}{ACCESS}{}", INITDB_ARGUMENTS.join(" "));
    let digest = ring::digest::digest(&ring::digest::SHA256, all.as_bytes());
    digest.as_ref()[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Makes a cluster beside its final place and moves it there in one step.
async fn make(plan: &ClusterPlan<'_>, home: &Path) -> Result<(), TestbedError> {
    let making = home.with_extension(format!("making-{}", std::process::id()));
    let made = make_in(plan, &making).await;
    let moved = made.and_then(|()| {
        fs::set_permissions(&making, fs::Permissions::from_mode(0o700))
            .and_then(|()| rustix::fs::syncfs(File::open(&making)?).map_err(Into::into))
            .and_then(|()| fs::rename(&making, home))
            .map_err(|error| failed(&making, &error))
    });
    if moved.is_err() {
        fs::remove_dir_all(&making).ok();
    }
    moved
}

async fn make_in(plan: &ClusterPlan<'_>, making: &Path) -> Result<(), TestbedError> {
    let data = making.join("data");
    let verifier_file = making.join("verifier");
    let password = scram::random_password()?;
    let prepare = || -> io::Result<()> {
        fs::create_dir(making)?;
        fs::set_permissions(making, fs::Permissions::from_mode(0o711))?;
        fs::create_dir(&data)?;
        write_secret(&making.join("password"), &password)?;
        Ok(())
    };
    prepare().map_err(|error| failed(making, &error))?;
    write_secret(&verifier_file, &scram::verifier(&password)?)
        .map_err(|error| failed(making, &error))?;
    if let Some(user) = plan.user {
        chown(&data, Some(user.uid), Some(user.gid))
            .and_then(|()| chown(&verifier_file, Some(user.uid), Some(user.gid)))
            .map_err(|error| failed(making, &error))?;
    }
    run_initdb(plan, &data, &verifier_file).await?;
    let finish = || -> io::Result<()> {
        let settings = data.join("postgresql.conf");
        let defaults = fs::read_to_string(&settings)?;
        fs::write(&settings, format!("{defaults}\n# firedrill\n{SETTINGS}"))?;
        fs::write(data.join("pg_hba.conf"), ACCESS)?;
        fs::remove_file(&verifier_file)
    };
    finish().map_err(|error| failed(making, &error))
}

async fn run_initdb(
    plan: &ClusterPlan<'_>,
    data: &Path,
    verifier: &Path,
) -> Result<(), TestbedError> {
    let log = plan.run.path().join("initdb.log");
    let mut arguments: Vec<OsString> = INITDB_ARGUMENTS.iter().map(Into::into).collect();
    arguments.extend(["-D".into(), data.into(), "--pwfile".into(), verifier.into()]);
    let initdb = plan
        .processes
        .spawn(Launch {
            program: plan.programs.program("initdb"),
            arguments,
            folder: "/".into(),
            environment: plan.environment.clone(),
            log: log.clone(),
            user: plan.user,
            death_signal: DeathSignal::Kill,
        })
        .await?;
    let status = initdb.wait().await;
    if status.success() {
        return Ok(());
    }
    Err(TestbedError::Failed {
        doing: format!("making a PostgreSQL cluster in {}", data.display()),
        reason: format!("initdb ended with {status}\n{}", log_tail::read(&log)),
    })
}

/// The password of the copy's owner.
pub(super) async fn copy_out(
    home: &Path,
    data: &Path,
    user: Option<User>,
) -> Result<String, TestbedError> {
    let (from, to) = (home.to_owned(), data.to_owned());
    let copied = tokio::task::spawn_blocking(move || {
        copy_folder(&from.join("data"), &to, user)?;
        fs::read_to_string(from.join("password"))
    })
    .await;
    copied
        .map_err(io::Error::other)
        .flatten()
        .map_err(|error| TestbedError::Failed {
            doing: format!(
                "copying the pre-made cluster {} to {}",
                home.display(),
                data.display()
            ),
            reason: error.to_string(),
        })
}

fn copy_folder(from: &Path, to: &Path, user: Option<User>) -> io::Result<()> {
    let owner = |path: &Path| match user {
        Some(user) => chown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    };
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    owner(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target, user)?;
        } else {
            fs::copy(entry.path(), &target)?;
            owner(&target)?;
        }
    }
    Ok(())
}

fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(secret.as_bytes())
}

fn failed(path: &Path, error: &io::Error) -> TestbedError {
    TestbedError::Failed {
        doing: format!("making a PostgreSQL cluster in {}", path.display()),
        reason: error.to_string(),
    }
}
