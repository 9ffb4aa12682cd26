//! A machine without PostgreSQL: the server's programs are fetched, and work as installed ones do.
//!
//! Needs the network (about 10 MB), for that is what it is about.

mod testbed_support;

use firedrill::testbed::local::postgres::PostgresSource;
use sqlx::{ConnectOptions, Row};
use testbed_support::start_cluster;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_fetched_works_as_an_installed_one() {
    // Another user must be able to reach it, and temporary folders are private.
    let cache = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a folder");
    let (cluster, processes, run) = start_cluster(PostgresSource::Fetch, cache.path()).await;
    let mut owner = cluster
        .owner_options("postgres")
        .connect()
        .await
        .expect("connected");
    let version: String = sqlx::query("show server_version")
        .fetch_one(&mut owner)
        .await
        .expect("asked")
        .get(0);
    assert!(version.starts_with("17."), "{version}");
    cluster.stop().await.expect("stopped");
    drop(processes);
    run.remove().expect("removed");
}
