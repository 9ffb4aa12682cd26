//! One database per component and drill: copied from a template ahead of need, dropped behind it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::try_join_all;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgPool, migrate::Migrator, postgres::PgPoolOptions,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::task::TaskTracker;

use super::{Cluster, logins, scram};
use crate::testbed::TestbedError;

/// PostgreSQL cuts longer names off.
const LONGEST_NAME: usize = 63;
/// Databases that are made at the same time, of all components.
const MADE_AT_ONCE: usize = 3;
/// Databases that are dropped at the same time: a drop writes a checkpoint, which the drills feel.
const DROPPED_AT_ONCE: usize = 1;

/// A component that wants a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabasePlan {
    /// The component.
    pub component: String,
    /// Its database's name, before the drill's name is added; also the name of the role that owns its tables.
    pub name: String,
    /// Folder of its migrations.
    pub migrations: Option<PathBuf>,
}

/// A component's database in one drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentDatabase {
    /// The component.
    pub component: String,
    /// The database.
    pub name: String,
    /// The role that the component logs in as, of this drill only.
    pub user: String,
    /// Its password; letters, digits, `-` and `_`.
    pub password: String,
}

/// The databases of a run.
#[derive(Debug)]
pub struct Databases {
    pool: PgPool,
    address: SocketAddr,
    /// The password of the harness's own role.
    password: String,
    queues: BTreeMap<String, Queue>,
    droppers: TaskTracker,
    drop_permits: Arc<Semaphore>,
    failures: Arc<Mutex<Vec<String>>>,
    _makers: JoinSet<()>,
}

#[derive(Debug)]
struct Queue {
    ready: tokio::sync::Mutex<mpsc::Receiver<Result<String, TestbedError>>>,
    /// The role that owns the template and its copies; they are named after it.
    owner: String,
}

impl Databases {
    /// Makes a role and a template with migrations applied for every component, and begins to make copies: up to
    /// `spare` of each component stand ready.
    ///
    /// # Errors
    /// A name is too long, the server refuses, or a migration fails.
    pub async fn prepare(
        cluster: &Cluster,
        plans: &[DatabasePlan],
        spare: usize,
    ) -> Result<Self, TestbedError> {
        let pool = PgPoolOptions::new()
            .max_connections(u32::try_from(MADE_AT_ONCE + DROPPED_AT_ONCE + 2).unwrap_or(8))
            .test_before_acquire(false)
            .connect_lazy_with(cluster.owner_options("postgres"));
        let password = logins::make_harness(&pool).await?;
        let owners =
            try_join_all(plans.iter().map(|plan| make_template(&pool, cluster, plan))).await?;
        let make_permits = Arc::new(Semaphore::new(MADE_AT_ONCE));
        let mut makers = JoinSet::new();
        let mut queues = BTreeMap::new();
        for (plan, owner) in plans.iter().zip(owners) {
            // The maker holds one more in its hand while the channel is full.
            let (finished, ready) = mpsc::channel(spare.saturating_sub(1).max(1));
            makers.spawn(keep_making(
                pool.clone(),
                owner.clone(),
                Arc::clone(&make_permits),
                finished,
                cluster.major(),
            ));
            let ready = tokio::sync::Mutex::new(ready);
            queues.insert(plan.component.clone(), Queue { ready, owner });
        }
        Ok(Self {
            pool,
            address: cluster.address(),
            password,
            queues,
            droppers: TaskTracker::new(),
            drop_permits: Arc::new(Semaphore::new(DROPPED_AT_ONCE)),
            failures: Arc::default(),
            _makers: makers,
        })
    }

    /// A database for every component, named after the drill.
    ///
    /// # Errors
    /// A copy could not be made.
    pub async fn lease(&self, drill: &str) -> Result<Vec<ComponentDatabase>, TestbedError> {
        let leases = self
            .queues
            .iter()
            .map(|(component, queue)| self.lease_one(component, queue, drill));
        try_join_all(leases).await
    }

    async fn lease_one(
        &self,
        component: &str,
        queue: &Queue,
        drill: &str,
    ) -> Result<ComponentDatabase, TestbedError> {
        let name = checked_name(format!("{}_{drill}", queue.owner))?;
        let password = scram::random_password()?;
        let making = logins::making(&name, &queue.owner, &password)?;
        let copy = queue.ready.lock().await.recv().await.unwrap_or_else(|| {
            Err(failed(
                "taking a database",
                "nobody makes databases any more",
            ))
        })?;
        // Both or neither: statements that are sent together are one transaction.
        let take = format!(
            "{making}; ALTER DATABASE {} RENAME TO {}",
            quoted(&copy),
            quoted(&name)
        );
        if let Err(error) = execute(&self.pool, &take).await {
            self.drop_later(copy, None);
            return Err(error);
        }
        Ok(ComponentDatabase {
            component: component.to_owned(),
            user: name.clone(),
            name,
            password,
        })
    }

    /// A connection string to a database for the harness, whose login no drill changes.
    #[must_use]
    pub fn url(&self, database: &ComponentDatabase) -> String {
        let (user, address) = (logins::HARNESS, self.address);
        format!(
            "postgres://{user}:{}@{address}/{}?sslmode=disable",
            self.password, database.name
        )
    }

    /// Has the server take another password from whoever logs in to a component's database, and returns it. Sessions that
    /// are open stay open.
    ///
    /// # Errors
    /// The server refuses; then the password is what it was.
    pub async fn change_password(
        &self,
        database: &ComponentDatabase,
    ) -> Result<String, TestbedError> {
        logins::change_password(&self.pool, &database.user).await
    }

    /// Ends the sessions in which a component is logged in to its database.
    ///
    /// # Errors
    /// The server refuses, or some do not end.
    pub async fn end_sessions(&self, database: &ComponentDatabase) -> Result<(), TestbedError> {
        logins::end_sessions(&self.pool, &database.user).await
    }

    /// Drops databases in the background, with whoever is still connected, and then their logins.
    pub fn give_back(&self, databases: impl IntoIterator<Item = ComponentDatabase>) {
        for database in databases {
            self.drop_later(database.name, Some(database.user));
        }
    }

    fn drop_later(&self, name: String, login: Option<String>) {
        let (pool, permits) = (self.pool.clone(), Arc::clone(&self.drop_permits));
        let failures = Arc::clone(&self.failures);
        self.droppers.spawn(async move {
            let Ok(_permit) = permits.acquire().await else {
                return; // the cluster is about to be removed as a whole
            };
            let database = format!("DROP DATABASE {} WITH (FORCE)", quoted(&name));
            let login = login.map(|login| format!("DROP ROLE {}", quoted(&login)));
            for drop in [Some(database), login].into_iter().flatten() {
                if let Err(error) = execute(&pool, &drop).await {
                    tracing::error!(%error, "a database was not dropped");
                    failures
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(error.to_string());
                }
            }
        });
    }

    /// Waits until everything that was given back has been dropped.
    pub async fn settle(&self) {
        self.droppers.close();
        self.droppers.wait().await;
        self.droppers.reopen();
    }

    /// Ends the making and dropping; what is left goes with the cluster. Says which drops had failed.
    pub async fn close(&self) -> Vec<String> {
        self.drop_permits.close();
        self.droppers.close();
        self.droppers.wait().await;
        self.pool.close().await;
        std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn make_template(
    pool: &PgPool,
    cluster: &Cluster,
    plan: &DatabasePlan,
) -> Result<String, TestbedError> {
    let name = checked_name(plan.name.clone())?;
    let password = logins::make_owner(pool, &name).await?;
    let (role, template) = (quoted(&name), quoted(&template_name(&name)));
    execute(
        pool,
        &format!(
            "CREATE DATABASE {template} OWNER {role} {}",
            strategy(cluster.major())
        ),
    )
    .await?;
    if let Some(folder) = &plan.migrations {
        migrate(cluster, &name, &password, folder).await?;
    }
    Ok(name)
}

async fn migrate(
    cluster: &Cluster,
    role: &str,
    password: &str,
    folder: &Path,
) -> Result<(), TestbedError> {
    let doing = format!("applying the migrations of {}", folder.display());
    let failing = |error: &dyn std::fmt::Display| failed(&doing, &error.to_string());
    let migrator = Migrator::new(folder)
        .await
        .map_err(|error| failing(&error))?;
    let options = cluster.options(role, password, &template_name(role));
    let mut connection = options.connect().await.map_err(|error| failing(&error))?;
    migrator
        .run(&mut connection)
        .await
        .map_err(|error| failing(&error))?;
    // A template with a session in it cannot be copied.
    connection.close().await.map_err(|error| failing(&error))
}

/// Makes copies for as long as somebody may want one; waits while enough stand ready.
async fn keep_making(
    pool: PgPool,
    owner: String,
    permits: Arc<Semaphore>,
    finished: mpsc::Sender<Result<String, TestbedError>>,
    major: u32,
) {
    for number in 0_u64.. {
        let copy = {
            let Ok(_permit) = permits.acquire().await else {
                return;
            };
            make_copy(&pool, &owner, number, major).await
        };
        if finished.send(copy).await.is_err() {
            return;
        }
    }
}

async fn make_copy(
    pool: &PgPool,
    owner: &str,
    number: u64,
    major: u32,
) -> Result<String, TestbedError> {
    let name = checked_name(format!("{}_spare_{number}", owner))?;
    let (copy, template, role) = (quoted(&name), quoted(&template_name(owner)), quoted(owner));
    let create = format!(
        "CREATE DATABASE {copy} TEMPLATE {template} OWNER {role} {}",
        strategy(major)
    );
    execute(pool, &create).await?;
    // Rights on a database are not copied from its template.
    execute(pool, &format!("REVOKE ALL ON DATABASE {copy} FROM PUBLIC")).await?;
    Ok(name)
}

/// Copying files beats copying through the write-ahead log where nothing need reach the disk. Older servers know no
/// other way.
fn strategy(major: u32) -> &'static str {
    if major >= 15 {
        "STRATEGY file_copy"
    } else {
        ""
    }
}

fn template_name(name: &str) -> String {
    format!("{name}_template")
}

pub(super) async fn execute(pool: &PgPool, statement: &str) -> Result<(), TestbedError> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(pool)
        .await
        .map(drop)
        .map_err(|error| {
            failed(
                statement.split(" PASSWORD").next().unwrap_or(statement),
                &error.to_string(),
            )
        })
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn checked_name(name: String) -> Result<String, TestbedError> {
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains('\0') {
        return Err(failed(
            &format!("naming a database {name:?}"),
            &format!("a name has 1 to {LONGEST_NAME} bytes"),
        ));
    }
    Ok(name)
}

pub(super) fn failed(doing: &str, reason: &str) -> TestbedError {
    TestbedError::Failed {
        doing: doing.to_owned(),
        reason: reason.to_owned(),
    }
}
