//! A private, throw-away PostgreSQL.
//!
//! The server is the installed one; where none is installed the test fails and says so, it never passes by itself. It
//! listens on a socket in its own folder only, runs as another user when the test runs as root, dies with the test's
//! process, and leaves nothing behind.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;

use service_kit::database::migrate::migrator;

/// The test's own user needs no password; everybody else has to give one.
const ACCESS: &str = "local all postgres trust\nlocal all all scram-sha-256\n";
/// The server must be there by then.
const START_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

/// A private server; it stops when the last user lets go of it.
pub struct Postgres {
    server: Child,
    folder: TempDir,
    databases: AtomicU32,
}

/// A database of its own for one test.
pub struct TestDatabase {
    /// Address for a service's `DATABASE_URL`.
    pub url: String,
    /// Connections for the test itself.
    pub pool: PgPool,
    name: String,
    server: Arc<Postgres>,
}

impl TestDatabase {
    /// Makes a login that has to give this password; its address, in which the password is not.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn with_login(&self, password: &str) -> String {
        let login = self.login();
        let create = format!("create role {login} superuser login password '{password}'");
        self.execute(create).await;
        self.server.url(&login, &self.name)
    }

    /// From now on that login has to give another password, and what it had opened is ended.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn change_password(&self, password: &str) {
        let login = self.login();
        self.execute(format!("alter role {login} password '{password}'"))
            .await;
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where usename = ";
        self.execute(format!("{end}'{login}'")).await;
    }

    fn login(&self) -> String {
        format!("{}_login", self.name)
    }

    async fn execute(&self, statement: String) {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&self.pool)
            .await
            .expect("the server does it");
    }
}

static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

/// A fresh database with these migrations, on a server that tests running at the same time share.
///
/// # Panics
/// When PostgreSQL is not installed or does not start; the message says what to do.
pub async fn database(migrations: &[(&'static str, &'static str)]) -> TestDatabase {
    let server = tokio::task::spawn_blocking(shared)
        .await
        .expect("the server starts");
    let name = format!("test_{}", server.databases.fetch_add(1, Ordering::Relaxed));
    let mut admin = server
        .connect("postgres")
        .await
        .expect("the server takes connections");
    let create = AssertSqlSafe(format!("create database {name}"));
    sqlx::query(create)
        .execute(&mut admin)
        .await
        .expect("a database is created");
    admin.close().await.expect("the connection closes");
    let pool = PgPoolOptions::new()
        .max_connections(10)
        .connect_lazy_with(server.address(&name));
    migrator(migrations)
        .expect("migrations are well named")
        .run(&pool)
        .await
        .expect("migrations fit");
    TestDatabase {
        url: server.url("postgres", &name),
        pool,
        name,
        server,
    }
}

fn shared() -> Arc<Postgres> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let started = Arc::new(Postgres::start());
    *shared = Arc::downgrade(&started);
    started
}

impl Postgres {
    fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new()
            .prefix("kit-postgres-")
            .tempdir()
            .expect("a temporary folder");
        let user = other_user();
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).expect("the folder can be given away");
        }
        let data = folder.path().join("data");
        let mut initdb = Command::new(programs.join("initdb"));
        initdb.args([
            "--no-sync",
            "--no-instructions",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
        ]);
        initdb.arg("--pgdata").arg(&data).current_dir("/");
        as_user(&mut initdb, user);
        let made = initdb.output().expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        std::fs::write(data.join("pg_hba.conf"), ACCESS).expect("who may come is written");
        let server = spawn_server(&programs, &data, folder.path(), user);
        let mut started = Self {
            server,
            folder,
            databases: AtomicU32::new(0),
        };
        started.wait_until_up();
        started
    }

    fn wait_until_up(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let begun = Instant::now();
        loop {
            match runtime.block_on(self.connect("postgres")) {
                Ok(_) => return,
                Err(error) => assert!(
                    begun.elapsed() < START_LIMIT,
                    "PostgreSQL did not start: {error}"
                ),
            }
            let ended = self.server.try_wait().expect("the server can be asked");
            assert!(ended.is_none(), "PostgreSQL ended at once: {ended:?}");
            std::thread::sleep(PAUSE);
        }
    }

    /// An address for a service.
    fn url(&self, user: &str, database: &str) -> String {
        let folder = self.folder.path().display();
        format!("postgres://{user}@localhost/{database}?host={folder}")
    }

    fn address(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.folder.path())
            .username("postgres")
            .database(database)
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        self.address(database).connect().await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT ends the server at once and lets it give its shared memory back, which SIGKILL would not.
        let pid = i32::try_from(self.server.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let told = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::QUIT));
        if !matches!(told, Some(Ok(()))) {
            let _already_gone = self.server.kill();
        }
        let _already_reaped = self.server.wait();
    }
}

fn spawn_server(programs: &Path, data: &Path, sockets: &Path, user: Option<(u32, u32)>) -> Child {
    let mut server = Command::new(programs.join("postgres"));
    server
        .arg("-D")
        .arg(data)
        .arg("-k")
        .arg(sockets)
        .current_dir("/");
    for setting in [
        "listen_addresses=",
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "max_connections=200",
        "deadlock_timeout=100ms",
        "password_encryption=scram-sha-256",
    ] {
        server.args(["-c", setting]);
    }
    server
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    as_user(&mut server, user);
    // SAFETY: the closure only makes one system call, which is allowed between fork and exec.
    unsafe {
        server.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::QUIT))
                .map_err(Into::into)
        });
    }
    // The signal is sent when the thread that forked ends, so that thread must live as long as the process.
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let _receiver_waits = sender.send(server.spawn());
        loop {
            std::thread::park();
        }
    });
    receiver
        .recv()
        .expect("the thread answers")
        .expect("postgres runs")
}

fn as_user(command: &mut Command, user: Option<(u32, u32)>) {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
}

/// PostgreSQL refuses to run as root: then it runs as `postgres`, or as nobody.
fn other_user() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = users.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        if fields.first() != Some(&"postgres") {
            return None;
        }
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    });
    Some(ids.unwrap_or((65_534, 65_534)))
}

/// Where the server's programs are: named, on the path, installed, or fetched.
fn programs() -> PathBuf {
    let chosen = std::env::var_os("FIREDRILL_POSTGRES_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    versions.sort_by_key(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .parse::<u32>()
            .unwrap_or(0)
    });
    let installed = versions
        .into_iter()
        .rev()
        .map(|entry| entry.path().join("bin"));
    let candidates = chosen
        .into_iter()
        .chain(std::env::split_paths(&path))
        .chain(installed)
        .chain(fetched());
    candidates
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .expect(
            "this test needs PostgreSQL's programs initdb and postgres: run `cargo drill run` once, which fetches them, \
             install the server (Debian: postgresql-15), or name their folder in FIREDRILL_POSTGRES_BIN",
        )
}

/// The programs that a first drill has fetched into the user's cache, the newest first.
fn fetched() -> Vec<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let of_user = || {
        if rustix::process::getuid().is_root() {
            return Some(PathBuf::from("/var/cache/firedrill"));
        }
        let caches = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        caches.map(|caches| caches.join("firedrill"))
    };
    let cache = variable("FIREDRILL_CACHE").or_else(of_user);
    let entries = cache.and_then(|cache| std::fs::read_dir(cache).ok());
    let mut homes: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("postgresql-")
        })
        .map(|entry| entry.path().join("bin"))
        .collect();
    homes.sort();
    homes.reverse();
    homes
}
