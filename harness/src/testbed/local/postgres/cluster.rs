//! One PostgreSQL server for the whole run, started from a pre-made cluster.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::getuid;
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions, postgres::PgSslMode};
use tokio::time::Instant;

use super::{
    Programs,
    ready_made::{copy_out, ready_made},
};
use crate::testbed::{
    TestbedError,
    local::{
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
