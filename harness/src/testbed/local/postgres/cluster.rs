//! One PostgreSQL server for the whole run, started from a pre-made cluster.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::getuid;
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions, postgres::PgSslMode};
use tokio::time::Instant;

use super::{Programs, scram};
use crate::testbed::{
    TestbedError,
    local::{
        cache,
        lease::RunFolder,
        log_tail,
        ports::Port,
        processes::{DeathSignal, Launch, Process, Processes, User},
    },
};

/// The role that owns the cluster; only the harness uses it.
pub(super) const SUPERUSER: &str = "firedrill";
/// Connections that the server accepts: forty a drill, and several drills at once.
const MAX_CONNECTIONS: u32 = 500;
const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(5);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);

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

/// What a cluster is started from.
#[derive(Debug)]
pub struct ClusterPlan<'a> {
    /// The server's programs.
    pub programs: &'a Programs,
    /// The user it runs as, where that is not this user.
    pub user: Option<User>,
    /// Where pre-made clusters are kept.
    pub cache: &'a Path,
    /// The run's folder; the cluster lies in it.
    pub run: &'a RunFolder,
    /// Where the server writes its log.
    pub log: PathBuf,
    /// The port it listens on.
    pub port: Port,
    /// Who keeps its process.
    pub processes: &'a Processes,
    /// The environment of its process.
    pub environment: BTreeMap<OsString, OsString>,
}

/// A running server.
#[derive(Debug)]
pub struct Cluster {
    process: Process,
    port: Port,
    password: String,
    log: PathBuf,
    major: u32,
}

/// The user that the server runs as: PostgreSQL refuses to run as root, so root hands it to `postgres`, else `nobody`.
#[must_use]
pub fn server_user() -> Option<User> {
    if !getuid().is_root() {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = |name: &str| accounts.lines().find_map(|line| parse_account(line, name));
    Some(
        named("postgres")
            .or_else(|| named("nobody"))
            .unwrap_or(User {
                uid: 65_534,
                gid: 65_534,
            }),
    )
}

fn parse_account(line: &str, name: &str) -> Option<User> {
    let mut fields = line.split(':');
    if fields.next()? != name {
        return None;
    }
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    (uid != 0).then_some(User { uid, gid })
}

impl Cluster {
    /// Copies a pre-made cluster into the run's folder (makes one first where the cache has none for this version),
    /// starts the server and waits until it accepts connections.
    ///
    /// # Errors
    /// The cluster cannot be made or copied, or the server does not come up.
    pub async fn start(plan: ClusterPlan<'_>) -> Result<Self, TestbedError> {
        let home = ready_made(&plan).await?;
        let data = plan.run.path().join("postgres");
        let password = copy_out(&home, &data, plan.user).await?;
        let mut arguments: Vec<OsString> = vec!["-D".into(), data.clone().into()];
        arguments.extend(["-c".into(), format!("port={}", plan.port.number()).into()]);
        arguments.extend([
            "-c".into(),
            format!("max_connections={MAX_CONNECTIONS}").into(),
        ]);
        let process = plan
            .processes
            .spawn(Launch {
                program: plan.programs.program("postgres"),
                arguments,
                folder: data,
                environment: plan.environment,
                log: plan.log.clone(),
                user: plan.user,
                death_signal: DeathSignal::Quit,
            })
            .await?;
        let major = plan.programs.major();
        let cluster = Self {
            process,
            port: plan.port,
            password,
            log: plan.log,
            major,
        };
        cluster.wait_until_ready().await?;
        Ok(cluster)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The file it logs to.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The server's major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// How the harness connects, as the cluster's owner.
    #[must_use]
    pub fn owner_options(&self, database: &str) -> PgConnectOptions {
        self.options(SUPERUSER, &self.password, database)
    }

    /// How a role connects.
    #[must_use]
    pub fn options(&self, user: &str, password: &str, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port.number())
            .username(user)
            .password(password)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
            .disable_statement_logging()
    }

    /// Immediate shutdown: the data goes with the run's folder.
    ///
    /// # Errors
    /// The kernel refuses a signal.
    pub async fn stop(&self) -> Result<(), TestbedError> {
        let failed = |error: io::Error| TestbedError::Failed {
            doing: "stopping PostgreSQL".to_owned(),
            reason: error.to_string(),
        };
        if !self
            .process
            .signal(rustix::process::Signal::QUIT)
            .map_err(failed)?
        {
            return Ok(());
        }
        if tokio::time::timeout(STOP_LIMIT, self.process.wait())
            .await
            .is_err()
        {
            self.process
                .signal_group(rustix::process::Signal::KILL)
                .map_err(failed)?;
            self.process.wait().await;
        }
        Ok(())
    }

    async fn wait_until_ready(&self) -> Result<(), TestbedError> {
        let started = Instant::now();
        let mut look_again = tokio::time::interval(LOOK_AGAIN_AFTER);
        loop {
            look_again.tick().await;
            let reason = match self.owner_options("postgres").connect().await {
                Ok(connection) => {
                    connection.close().await.ok();
                    return Ok(());
                }
                Err(error) => error.to_string(),
            };
            let ended = self.process.ended();
            if ended.is_some() || started.elapsed() > START_LIMIT {
                let reason = ended.map_or(reason, |status| format!("it ended with {status}"));
                return Err(TestbedError::NotReady {
                    instance: "postgres".to_owned(),
                    within_s: START_LIMIT.as_secs_f64(),
                    reason: format!("{reason}\n{}", log_tail::read(&self.log)),
                    log: self.log.display().to_string(),
                });
            }
        }
    }
}

/// The cache's cluster for this version and these settings.
async fn ready_made(plan: &ClusterPlan<'_>) -> Result<PathBuf, TestbedError> {
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
async fn copy_out(home: &Path, data: &Path, user: Option<User>) -> Result<String, TestbedError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_and_root_is_refused() {
        let line = "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash";
        assert_eq!(
            parse_account(line, "postgres"),
            Some(User { uid: 101, gid: 104 })
        );
        assert_eq!(parse_account(line, "nobody"), None);
        assert_eq!(parse_account("postgres:x:0:0::/:/bin/sh", "postgres"), None);
    }
}
