//! A real database server, to which components log in under names of their own.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use firedrill::testbed::{
    DatabaseLogin, TestbedError,
    local::{
        cache,
        lease::RunFolder,
        password_files::PasswordFiles,
        postgres::{Cluster, ComponentDatabase, DatabasePlan, Databases, PostgresSource},
        processes::Processes,
    },
};
use sqlx::{ConnectOptions, PgConnection};

use super::{pipeline::failed, testbed_support::start_cluster};

/// A server with a database for each of a few components.
pub(crate) struct Logins {
    databases: Databases,
    leased: Mutex<Vec<ComponentDatabase>>,
    files: PasswordFiles,
    /// Whether changing a password fails half-way.
    breaks: AtomicBool,
    cluster: Cluster,
    processes: Processes,
    run: RunFolder,
}

impl Logins {
    pub(crate) async fn of(components: &[&str]) -> Self {
        let cache = cache::folder().expect("a cache folder");
        let (cluster, processes, run) = start_cluster(PostgresSource::Auto, &cache).await;
        let plan = |component: &&str| DatabasePlan {
            component: (*component).to_owned(),
            name: (*component).to_owned(),
            migrations: None,
        };
        let plans: Vec<DatabasePlan> = components.iter().map(plan).collect();
        let databases = Databases::prepare(&cluster, &plans, 1)
            .await
            .expect("templates");
        let leased = databases.lease("d0001").await.expect("databases");
        let files = PasswordFiles::make(run.path(), "d0001").expect("a folder");
        for database in &leased {
            files.tell(database).expect("written");
        }
        Self {
            databases,
            leased: Mutex::new(leased),
            files,
            breaks: AtomicBool::new(false),
            cluster,
            processes,
            run,
        }
    }

    fn database(&self, component: &str) -> Option<ComponentDatabase> {
        let leased = self.leased.lock().unwrap_or_else(PoisonError::into_inner);
        let found = leased.iter().find(|one| one.component == component);
        found.cloned()
    }

    fn known(&self, component: &str) -> ComponentDatabase {
        self.database(component).expect("it has a database")
    }

    pub(crate) fn login(&self, component: &str) -> Option<DatabaseLogin> {
        Some(DatabaseLogin {
            user: self.database(component)?.user,
            server_log: self.cluster.log().to_owned(),
        })
    }

    pub(crate) fn url_without_password(&self, component: &str) -> String {
        let ComponentDatabase { name, user, .. } = self.known(component);
        let address = self.cluster.address();
        format!("postgres://{user}@{address}/{name}?sslmode=disable")
    }

    /// How the harness looks into it.
    pub(crate) fn url(&self, component: &str) -> String {
        self.databases.url(&self.known(component))
    }

    pub(crate) fn password_file(&self, component: &str) -> PathBuf {
        self.files.of(&self.known(component))
    }

    /// Logs in as a component does, with what its file holds.
    pub(crate) async fn log_in(&self, component: &str) -> Result<PgConnection, sqlx::Error> {
        let ComponentDatabase { name, user, .. } = self.known(component);
        let password = std::fs::read_to_string(self.password_file(component));
        let password = password.expect("its file");
        let options = self.cluster.options(&user, &password, &name);
        options.connect().await
    }

    /// From now on changing a password fails after it was changed.
    pub(crate) fn break_half_way(&self) {
        self.breaks.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn change_password(&self, component: &str) -> Result<(), TestbedError> {
        let database = self.known(component);
        let password = self.databases.change_password(&database).await?;
        for leased in &mut *self.leased.lock().unwrap_or_else(PoisonError::into_inner) {
            if leased.component == component {
                leased.password.clone_from(&password);
            }
        }
        if self.breaks.load(Ordering::Relaxed) {
            return Err(failed("ending sessions", "the server broke down"));
        }
        self.databases.end_sessions(&database).await
    }

    pub(crate) fn tell_password(&self, component: &str) -> Result<(), TestbedError> {
        self.files.tell(&self.known(component))
    }

    pub(crate) async fn stop(&self) {
        let failures = self.databases.close().await;
        assert!(failures.is_empty(), "{failures:?}");
        self.cluster.stop().await.expect("stopped");
        self.processes.close();
        self.run.remove().expect("removed");
    }
}
