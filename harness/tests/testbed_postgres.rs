//! The private PostgreSQL server: it starts, its databases are copies of a migrated template, and nobody sees another's.

#![allow(clippy::print_stderr)] // times, for who runs it with --nocapture

mod testbed_support;

use std::{fs, time::Instant};

use firedrill::testbed::local::{
    lease::RunFolder,
    postgres::{Cluster, ComponentDatabase, DatabasePlan, Databases, PostgresSource},
    processes::Processes,
};
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use testbed_support::start_cluster;

/// A server with one component, `shop`, whose table has one row.
struct Server {
    databases: Databases,
    cluster: Cluster,
    processes: Processes,
    run: RunFolder,
    _migrations: tempfile::TempDir,
}

fn migrations(sql: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("0001_goods.sql"), sql).expect("written");
    folder
}

async fn start() -> Server {
    let folder = migrations(
        "create table goods (name text primary key); insert into goods values ('apple');",
    );
    let cache = firedrill::testbed::local::cache::folder().expect("a cache folder");
    let begun = Instant::now();
    let (cluster, processes, run) = start_cluster(PostgresSource::Auto, &cache).await;
    eprintln!("server up after {:?}", begun.elapsed());
    let plan = DatabasePlan {
        component: "shop".to_owned(),
        name: "shop".to_owned(),
        migrations: Some(folder.path().to_owned()),
    };
    let databases = Databases::prepare(&cluster, &[plan], 2)
        .await
        .expect("templates");
    eprintln!("template ready after {:?}", begun.elapsed());
    Server {
        databases,
        cluster,
        processes,
        run,
        _migrations: folder,
    }
}

impl Server {
    async fn lease(&self, drill: &str) -> ComponentDatabase {
        let begun = Instant::now();
        let mut leased = self.databases.lease(drill).await.expect("a database");
        eprintln!("{drill} has its database after {:?}", begun.elapsed());
        leased.remove(0)
    }

    async fn connect(&self, database: &ComponentDatabase) -> PgConnection {
        let options = self
            .cluster
            .options(&database.user, &database.password, &database.name);
        options.connect().await.expect("connected")
    }

    async fn names(&self) -> Vec<String> {
        self.listed("select datname from pg_database where datname like 'shop_d%'")
            .await
    }

    async fn listed(&self, sql: &'static str) -> Vec<String> {
        let mut owner = self
            .cluster
            .owner_options("postgres")
            .connect()
            .await
            .expect("connected");
        let rows = sqlx::query(sql)
            .fetch_all(&mut owner)
            .await
            .expect("listed");
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn stop(self) {
        let failures = self.databases.close().await;
        assert!(failures.is_empty(), "{failures:?}");
        self.cluster.stop().await.expect("stopped");
        drop(self.processes);
        self.run.remove().expect("removed");
    }
}

async fn count(connection: &mut PgConnection) -> i64 {
    sqlx::query("select count(*) from goods")
        .fetch_one(connection)
        .await
        .expect("counted")
        .get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_drill_gets_a_copy_of_its_own() {
    let server = start().await;
    let one = server.lease("d0001").await;
    let other = server.lease("d0002").await;
    assert_eq!(
        (one.name.as_str(), other.name.as_str()),
        ("shop_d0001", "shop_d0002")
    );
    let mut in_one = server.connect(&one).await;
    let mut in_other = server.connect(&other).await;
    sqlx::query("insert into goods values ('pear')")
        .execute(&mut in_one)
        .await
        .expect("the role owns the table");
    assert_eq!(count(&mut in_one).await, 2);
    assert_eq!(
        count(&mut in_other).await,
        1,
        "one drill sees what another wrote"
    );
    // A session that is left open does not keep a database from being dropped.
    server.databases.give_back([one]);
    server.databases.settle().await;
    assert_eq!(server.names().await, ["shop_d0002"]);
    in_other.close().await.expect("closed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_the_password() {
    let server = start().await;
    let database = server.lease("d0001").await;
    let wrong = server
        .cluster
        .options(&database.user, "wrong", &database.name)
        .connect()
        .await;
    assert!(
        wrong.is_err_and(|error| error.to_string().contains("password")),
        "let in with a wrong password"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_one_drills_own_and_takes_another_password_without_anybody_elses_noticing() {
    let server = start().await;
    let (one, other) = (server.lease("d0001").await, server.lease("d0002").await);
    let mut in_one = server.connect(&one).await;
    let mut in_other = server.connect(&other).await;
    let url = server.databases.url(&one);
    let mut harness = PgConnection::connect(&url).await.expect("connected");
    sqlx::query("create table baskets as select 7 as apples")
        .execute(&mut in_one)
        .await
        .expect("it may make tables");
    let apples = sqlx::query("update baskets set apples = 8 returning apples")
        .fetch_one(&mut harness)
        .await
        .expect("whatever a drill makes, the harness may look at");
    assert_eq!(apples.get::<i32, _>(0), 8);

    let password = server.databases.change_password(&one).await;
    let changed = ComponentDatabase {
        password: password.expect("changed"),
        ..one.clone()
    };
    assert_eq!(count(&mut in_one).await, 1, "what is open stays open");
    server.databases.end_sessions(&one).await.expect("ended");
    let ended = sqlx::query("select 1").execute(&mut in_one).await;
    assert!(ended.is_err(), "it goes on");
    let old = server.cluster.options(&one.user, &one.password, &one.name);
    let refused = old.connect().await.expect_err("the old password");
    assert!(refused.to_string().contains("password"), "{refused}");
    assert_eq!(count(&mut server.connect(&changed).await).await, 1);
    assert_eq!(count(&mut harness).await, 1);
    assert_eq!(count(&mut in_other).await, 1);
    assert_eq!(count(&mut server.connect(&other).await).await, 1);

    let logins = "select rolname::text from pg_roles where rolname like 'shop_d%' order by 1";
    assert_eq!(server.listed(logins).await, ["shop_d0001", "shop_d0002"]);
    server.databases.give_back([changed]);
    server.databases.settle().await;
    assert_eq!(server.listed(logins).await, ["shop_d0002"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_drills_find_databases_waiting() {
    let server = start().await;
    for drill in 0..8 {
        let database = server.lease(&format!("d{drill:04}")).await;
        let mut connection = server.connect(&database).await;
        assert_eq!(count(&mut connection).await, 1);
        connection.close().await.expect("closed");
        server.databases.give_back([database]);
    }
    let begun = Instant::now();
    server.databases.settle().await;
    eprintln!("the rest was dropped after {:?}", begun.elapsed());
    assert_eq!(server.names().await, Vec::<String>::new());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_is_named() {
    let folder = migrations("create tabel goods ();");
    let cache = firedrill::testbed::local::cache::folder().expect("a cache folder");
    let (cluster, processes, run) = start_cluster(PostgresSource::Auto, &cache).await;
    let plan = DatabasePlan {
        component: "shop".to_owned(),
        name: "shop".to_owned(),
        migrations: Some(folder.path().to_owned()),
    };
    let refused = Databases::prepare(&cluster, &[plan], 1).await.map(drop);
    let message = refused.expect_err("the migration is wrong").to_string();
    assert!(
        message.contains("tabel") && message.contains(&folder.path().display().to_string()),
        "{message}"
    );
    cluster.stop().await.expect("stopped");
    drop(processes);
    run.remove().expect("removed");
}
