//! What all drills of a run share: the run's folder, its processes, ports, binaries and database server.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    LocalOptions, build, cache,
    lease::RunFolder,
    place,
    ports::Ports,
    postgres::{Cluster, ClusterPlan, DatabasePlan, Databases, Programs, server_user},
    processes::Processes,
    sweep,
    warden::Warden,
};
use crate::{
    testbed::TestbedError,
    topology::{Component, Program, Provided, Topology},
};

/// Shared by all drills of a run. The fields are dropped in order: the processes end before their folder goes.
#[derive(Debug)]
pub(super) struct Infrastructure {
    pub(super) topology: Arc<Topology>,
    pub(super) ports: Ports,
    pub(super) names_for_customers: bool,
    pub(super) binaries: BTreeMap<String, PathBuf>,
    pub(super) database_server: Option<DatabaseServer>,
    pub(super) processes: Processes,
    _warden: Warden,
    pub(super) run: RunFolder,
}

/// The run's PostgreSQL.
#[derive(Debug)]
pub(super) struct DatabaseServer {
    pub(super) cluster: Cluster,
    pub(super) databases: Databases,
}

impl Infrastructure {
    pub(super) async fn start(options: &LocalOptions) -> Result<Self, TestbedError> {
        raise_descriptor_limit();
        sweep_dead_runs(options).await;
        let run = RunFolder::claim(&options.runs_folder)?;
        let warden = Warden::start(&run)?;
        let processes = Processes::start()?;
        let ports = Ports::new();
        let topology = &options.topology;
        install_tls_provider();
        let packages = packages(topology);
        let (binaries, database_server) = tokio::try_join!(
            build::build(&processes, &packages, &topology.root, &options.progress),
            start_database_server(options, &run, &processes, &ports),
        )?;
        Ok(Self {
            topology: Arc::clone(topology),
            ports,
            names_for_customers: options.names_for_customers,
            binaries,
            database_server,
            processes,
            _warden: warden,
            run,
        })
    }

    /// Ends everything and removes the run's folder. All complaints in one error.
    pub(super) async fn shut_down(self: Arc<Self>) -> Result<(), TestbedError> {
        let mut failures = Vec::new();
        if let Some(server) = &self.database_server {
            failures.extend(server.databases.close().await);
            failures.extend(
                server
                    .cluster
                    .stop()
                    .await
                    .err()
                    .map(|error| error.to_string()),
            );
        }
        let removed = tokio::task::spawn_blocking(move || {
            self.processes.close();
            self.run.remove()
        })
        .await;
        match removed {
            Ok(removed) => failures.extend(removed.err().map(|error| error.to_string())),
            Err(error) => failures.push(error.to_string()),
        }
        if failures.is_empty() {
            return Ok(());
        }
        Err(TestbedError::Failed {
            doing: "shutting the local testbed down".to_owned(),
            reason: failures.join("; "),
        })
    }
}

fn packages(topology: &Topology) -> BTreeSet<String> {
    topology
        .started()
        .filter_map(|component| match &component.program {
            Program::Cargo { package } => Some(package.clone()),
            Program::Provided(_) | Program::Command(_) => None,
        })
        .collect()
}

/// HTTP clients cannot be made without one.
fn install_tls_provider() {
    // Fails where the program has chosen a provider already; then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

async fn sweep_dead_runs(options: &LocalOptions) {
    // An earlier run may have found more room in the one place or in the other.
    let mut places = vec![options.runs_folder.clone()];
    let usual = place::runs_folders();
    if usual.contains(&options.runs_folder) {
        places = usual.to_vec();
    }
    let sweeping = tokio::task::spawn_blocking(move || {
        let mut report = sweep::CleanReport::default();
        for runs in places {
            report.add(sweep::sweep(&runs));
        }
        report
    });
    let report = sweeping.await.unwrap_or_default();
    if !report.runs.is_empty() || !report.processes.is_empty() {
        tracing::info!(
            runs = report.runs.len(),
            processes = report.processes.len(),
            "removed what dead runs left"
        );
    }
    // What cannot be removed does not keep this run from starting: nothing of it is used.
    for failure in report.failures {
        tracing::warn!("of a dead run: {failure}");
    }
}

async fn start_database_server(
    options: &LocalOptions,
    run: &RunFolder,
    processes: &Processes,
    ports: &Ports,
) -> Result<Option<DatabaseServer>, TestbedError> {
    let topology = &options.topology;
    let is_provided =
        |component: &Component| component.program == Program::Provided(Provided::Postgres);
    if !topology.components.values().any(is_provided) {
        return Ok(None);
    }
    let cache = options.cache.clone().map_or_else(cache::folder, Ok)?;
    let user = server_user();
    let programs = Programs::find(options.postgres, &cache, user, &options.progress).await?;
    let cluster = Cluster::start(ClusterPlan {
        programs: &programs,
        user,
        cache: &cache,
        run,
        log: run.path().join("postgres.log"),
        port: ports.reserve()?,
        processes,
        environment: run.environment(),
    })
    .await?;
    let databases =
        Databases::prepare(&cluster, &database_plans(topology), options.spare_databases).await?;
    Ok(Some(DatabaseServer { cluster, databases }))
}

fn database_plans(topology: &Topology) -> Vec<DatabasePlan> {
    topology
        .started()
        .filter_map(|component| {
            let database = component.database.as_ref()?;
            Some(DatabasePlan {
                component: component.name.clone(),
                name: database.name.clone(),
                migrations: database
                    .migrations
                    .as_ref()
                    .map(|folder| topology.root.join(folder)),
            })
        })
        .collect()
}

/// Every reserved port and every proxied connection is a descriptor; the usual soft limit of 1024 is for programs that
/// use `select`.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                ..limit
            },
        )
    {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}
