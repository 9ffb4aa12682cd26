//! Limits of the database against a real server.

use std::path::Path;
use std::time::{Duration, Instant};

use service_kit::database::{DatabaseSettings, Pool, SqlState, had_no_connection, migrate};
use service_kit::service::{Common, Service};
use service_kit::settings::Settings;
use service_kit::shutdown::Shutdown;

const MIGRATIONS: [(&str, &str); 1] = [(
    "0001_things.sql",
    "create table things (thing int primary key);",
)];

fn settings(url: &str) -> DatabaseSettings {
    let values = [
        ("DATABASE_URL", url),
        ("DATABASE_CONNECTIONS", "2"),
        ("DATABASE_ACQUIRE_LIMIT_MS", "200"),
        ("DATABASE_STATEMENT_LIMIT_MS", "300"),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::read(values, DatabaseSettings::read).expect("good settings")
}

#[tokio::test]
async fn embedded_migrations_and_files_of_the_same_name_agree() {
    let database = service_testing::database(&MIGRATIONS).await;
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in MIGRATIONS {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let from_files = sqlx::migrate::Migrator::new(folder.path())
        .await
        .expect("readable");
    from_files
        .run(&database.pool)
        .await
        .expect("the checksums agree");
    let pool = settings(&database.url).pool("tests");
    migrate(&pool, &MIGRATIONS, &Shutdown::default())
        .await
        .expect("nothing to do");
    let (applied,): (i64,) = sqlx::query_as("select count(*) from _sqlx_migrations")
        .fetch_one(&database.pool)
        .await
        .expect("counted");
    assert_eq!(applied, 1);
}

#[tokio::test]
async fn an_exhausted_pool_refuses_quickly_and_slow_statements_are_ended() {
    let database = service_testing::database(&MIGRATIONS).await;
    let pool = settings(&database.url).pool("tests");
    let slow = sqlx::query("select pg_sleep(10)")
        .execute(&pool)
        .await
        .expect_err("ended by the server");
    assert_eq!(slow.sql_state().as_deref(), Some("57014"));
    let _first = pool.acquire().await.expect("a connection");
    let _second = pool.acquire().await.expect("a connection");
    let begun = Instant::now();
    let refused = pool.acquire().await.expect_err("there are two only");
    assert!(had_no_connection(&refused), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn waiting_for_a_database_that_is_away_ends_with_the_shutdown() {
    let shutdown = Shutdown::default();
    let pool = settings("postgres://postgres@127.0.0.1:1/nobody").pool("tests");
    let waiting = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { migrate(&pool, &MIGRATIONS, &shutdown).await }
    });
    shutdown.begin();
    let ended = tokio::time::timeout(Duration::from_secs(5), waiting)
        .await
        .expect("in time")
        .expect("no panic");
    assert!(ended.is_err());
}

/// A service that has nothing but a database, and its pool.
fn service(url: &str, password_file: &Path, follows_password: bool) -> (Service, Pool) {
    let values = [
        ("INSTANCE", "kit"),
        ("LISTEN_HTTP", "127.0.0.1:0"),
        ("DATABASE_URL", url),
        (
            "DATABASE_PASSWORD_FILE",
            password_file.to_str().expect("text"),
        ),
        ("DATABASE_PASSWORD_RELOAD_MS", "20"),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let read = |settings: &mut Settings| (Common::read(settings), DatabaseSettings::read(settings));
    let (common, database) = Settings::read(values, read).expect("good settings");
    let service = Service::new("kit", common);
    let database = DatabaseSettings {
        follows_password,
        ..database
    };
    let pool = database.open(&service);
    service.health.mark_started();
    (service, pool)
}

fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).expect("written");
    std::fs::rename(beside, file).expect("replaced");
}

async fn is_ready(service: &Service) -> bool {
    service.health.readiness().await.ready
}

/// Whether it is not ready because of the password; no password may be in the reason.
async fn is_refused(service: &Service) -> bool {
    let readiness = service.health.readiness().await;
    let said = readiness.reasons.join("; ");
    assert!(!said.contains("secret"), "{said}");
    !readiness.ready && said.starts_with("database: it refuses the password that ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_taken_up_without_a_restart_where_that_is_wanted() {
    let database = service_testing::database(&MIGRATIONS).await;
    let url = database.with_login("secret-1").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    replace(&file, "secret-1\n");
    let (follower, _) = service(&url, &file, true);
    let (stubborn, _) = service(&url, &file, false);
    assert!(is_ready(&follower).await && is_ready(&stubborn).await);
    for password in ["secret-2", "secret-3"] {
        database.change_password(password).await;
        service_testing::eventually("the old password is refused", async || {
            is_refused(&follower).await && is_refused(&stubborn).await
        })
        .await;
        // What is no password changes nothing.
        replace(&file, "");
        replace(&file, password);
        service_testing::eventually("the new password is taken up", async || {
            is_ready(&follower).await
        })
        .await;
        assert!(is_refused(&stubborn).await, "it keeps what it read");
    }
    service_testing::stop(&follower).await;
    service_testing::stop(&stubborn).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_starts_with_a_password_that_is_refused_waits_for_the_right_one() {
    let database = service_testing::database(&MIGRATIONS).await;
    let url = database.with_login("secret-2").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    replace(&file, "secret-1");
    let (service, pool) = service(&url, &file, true);
    let shutdown = service.shutdown.clone();
    let migrating = tokio::spawn(async move { migrate(&pool, &MIGRATIONS, &shutdown).await });
    service_testing::eventually("the password is refused", async || {
        is_refused(&service).await
    })
    .await;
    assert!(!migrating.is_finished(), "it waits");
    replace(&file, "secret-2");
    let migrated = tokio::time::timeout(Duration::from_secs(20), migrating).await;
    let migrated = migrated.expect("in time").expect("no panic");
    migrated.expect("nothing to do");
    assert!(is_ready(&service).await);
    service_testing::stop(&service).await;
}
