//! Lent connections against a real server.

use std::time::Duration;

use service_kit::database::{DatabaseSettings, Pool};
use service_kit::settings::Settings;
use sqlx::Connection;

const MIGRATIONS: [(&str, &str); 1] = [(
    "0001_things.sql",
    "create table things (thing int primary key);",
)];

fn pool(url: &str, connections: &str) -> Pool {
    let values = [
        ("DATABASE_URL", url),
        ("DATABASE_CONNECTIONS", connections),
        ("DATABASE_ACQUIRE_LIMIT_MS", "5000"),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::read(values, DatabaseSettings::read)
        .expect("good settings")
        .pool("tests")
}

async fn things(pool: &Pool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from things")
        .fetch_one(pool)
        .await
}

async fn insert(thing: i32, connection: &mut sqlx::PgConnection) {
    sqlx::query("insert into things values ($1)")
        .bind(thing)
        .execute(connection)
        .await
        .expect("inserted");
}

#[tokio::test]
async fn what_follows_each_other_goes_over_one_connection() {
    let database = service_testing::database(&MIGRATIONS).await;
    let pool = pool(&database.url, "10");
    for _ in 0..20 {
        things(&pool).await.expect("counted");
        let transaction = pool.begin().await.expect("begun");
        transaction.commit().await.expect("committed");
        let transaction = pool.begin().await.expect("begun");
        transaction.rollback().await.expect("rolled back");
        let mut lent = pool.acquire().await.expect("lent");
        lent.ping().await.expect("it lives");
        lent.give_back();
    }
    assert_eq!(pool.size(), 1);
}

#[tokio::test]
async fn what_is_not_committed_is_undone_before_the_connection_is_lent_again() {
    let database = service_testing::database(&MIGRATIONS).await;
    let pool = pool(&database.url, "1");
    let mut transaction = pool.begin().await.expect("begun");
    insert(1, &mut transaction).await;
    drop(transaction);
    assert_eq!(things(&pool).await.expect("counted"), 0);
    let mut transaction = pool.begin().await.expect("begun");
    insert(1, &mut transaction).await;
    transaction.commit().await.expect("committed");
    assert_eq!(things(&pool).await.expect("counted"), 1);
    // Given back in the middle of a transaction, it is not lent on as it is.
    let mut lent = pool.acquire().await.expect("lent");
    let mut transaction = lent.begin().await.expect("begun");
    insert(2, &mut transaction).await;
    std::mem::forget(transaction);
    lent.give_back();
    assert_eq!(things(&pool).await.expect("counted"), 1);
}

#[tokio::test]
async fn nothing_is_lent_on_inside_a_transaction_whose_beginning_was_given_up() {
    let database = service_testing::database(&MIGRATIONS).await;
    let pool = pool(&database.url, "1");
    let slow = pool.begin_with("begin; select pg_sleep(0.2)");
    tokio::time::timeout(Duration::from_millis(50), slow)
        .await
        .expect_err("nobody waits for it");
    sqlx::query("insert into things values (1)")
        .execute(&pool)
        .await
        .expect("inserted");
    let seen: i64 = sqlx::query_scalar("select count(*) from things")
        .fetch_one(&database.pool)
        .await
        .expect("counted");
    assert_eq!(seen, 1, "others see what was done");
}

#[tokio::test]
async fn an_answer_that_nobody_waited_for_is_not_taken_for_the_next_one() {
    let database = service_testing::database(&MIGRATIONS).await;
    let pool = pool(&database.url, "1");
    for _ in 0..5 {
        let slow = sqlx::query_scalar::<_, i32>("select 1 from pg_sleep(0.1)").fetch_one(&pool);
        tokio::time::timeout(Duration::from_millis(20), slow)
            .await
            .expect_err("nobody waits for it");
        let answer: i32 = sqlx::query_scalar("select 2")
            .fetch_one(&pool)
            .await
            .expect("answered");
        assert_eq!(answer, 2);
    }
    let error = sqlx::query("select 1 / 0").execute(&pool).await;
    error.expect_err("the database refuses");
    assert_eq!(things(&pool).await.expect("counted"), 0);
}

#[tokio::test]
async fn connections_that_the_server_ended_fail_one_statement_at_most() {
    let database = service_testing::database(&MIGRATIONS).await;
    let pool = pool(&database.url, "3");
    let all = futures::future::join_all((0..3).map(|_| pool.acquire())).await;
    for lent in all {
        lent.expect("lent").give_back();
    }
    assert_eq!(pool.size(), 3);
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'tests' and datname = current_database()",
    )
    .execute(&database.pool)
    .await
    .expect("ended");
    // That they are gone is told by one at most: after it the others are asked.
    let _ = things(&pool).await;
    let all = futures::future::join_all((0..3).map(|_| things(&pool))).await;
    for count in all {
        count.expect("counted");
    }
}

#[tokio::test]
async fn whoever_lets_go_makes_room_for_whoever_waits() {
    let database = service_testing::database(&MIGRATIONS).await;
    let pool = pool(&database.url, "2");
    let counts = (0..50).map(|turn| {
        let pool = pool.clone();
        tokio::spawn(async move {
            match turn % 3 {
                0 => things(&pool).await,
                1 => {
                    let transaction = pool.begin().await?;
                    drop(transaction);
                    Ok(0)
                }
                _ => {
                    let lent = pool.acquire().await?;
                    drop(lent);
                    Ok(0)
                }
            }
        })
    });
    for count in futures::future::join_all(counts).await {
        assert_eq!(count.expect("no panic").expect("in time"), 0);
    }
    assert!(pool.size() <= 2, "{}", pool.size());
}
