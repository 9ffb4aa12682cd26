//! What several tests of the testbed start from.
#![allow(dead_code)] // each test file uses a part of it

pub(crate) mod component;

use std::{path::Path, sync::Arc};

use firedrill::testbed::local::{
    lease::RunFolder,
    place,
    ports::Ports,
    postgres::{Cluster, ClusterPlan, PostgresSource, Programs, server_user},
    processes::Processes,
};

/// A PostgreSQL server in a run folder of its own.
pub(crate) async fn start_cluster(
    source: PostgresSource,
    cache: &Path,
) -> (Cluster, Processes, RunFolder) {
    let run = RunFolder::claim(&place::runs_folder()).expect("a run folder");
    let processes = Processes::start().expect("a keeper");
    let user = server_user();
    let silent = Arc::new(|_: &str| {}) as _;
    let programs = Programs::find(source, cache, user, &silent)
        .await
        .expect("programs");
    let cluster = Cluster::start(ClusterPlan {
        programs: &programs,
        user,
        cache,
        run: &run,
        log: run.path().join("postgres.log"),
        port: Ports::new().reserve().expect("a port"),
        processes: &processes,
        environment: run.environment(),
    })
    .await
    .expect("a server");
    (cluster, processes, run)
}
