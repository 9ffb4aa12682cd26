//! Limits of the database against a real server.

use std::time::{Duration, Instant};

use service_kit::database::{DatabaseSettings, SqlState, had_no_connection, migrate};
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
    migrate(&database.pool, &MIGRATIONS, &Shutdown::default())
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
