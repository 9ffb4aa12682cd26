//! Faults of a database, witnessed by SQL.

use std::time::{Duration, Instant};

use firedrill::fault::inject;
use service_kit::testing;

use super::{fault, kind, pipeline::SmallPipeline};

const TABLES: &[(&str, &str)] = &[(
    "0001_rows.sql",
    "create table rows (name text primary key, units int not null); insert into rows values ('a', 1), ('b', 1);",
)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_row_makes_others_wait_until_it_is_let_go() {
    let database = testing::database(TABLES).await;
    let pipeline = SmallPipeline::default()
        .with_database("shop", &database.url)
        .share();
    let locked = fault(kind(
        r#"kind = "rows_locked"
        component = "shop"
        table = "rows"
        rows = "name = 'a'""#,
    ));
    let mut injection = inject(&locked, &pipeline, 1).await.expect("injected");
    sqlx::query("update rows set units = 2 where name = 'b'")
        .execute(&database.pool)
        .await
        .expect("the other row is spared");
    assert_eq!(injection.felt().await.expect("a witness").count, 0);
    let pool = database.pool.clone();
    let began = Instant::now();
    let waiting = tokio::spawn(async move {
        let done = sqlx::query("update rows set units = 2 where name = 'a'")
            .execute(&pool)
            .await;
        done.expect("it is done in the end");
        began.elapsed()
    });
    let felt = injection
        .wait_until_felt(1, Duration::from_secs(10))
        .await
        .expect("a witness");
    assert_eq!(felt.count, 1, "one statement waits");
    assert!(!waiting.is_finished(), "it bites");
    injection.heal().await.expect("healed");
    let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    waited.expect("it heals").expect("it is done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_table_can_be_locked_and_mistakes_are_told() {
    let database = testing::database(TABLES).await;
    let pipeline = SmallPipeline::default()
        .with_database("shop", &database.url)
        .share();
    let locked = fault(kind(
        r#"kind = "rows_locked"
        component = "shop"
        table = "rows"
        whole_table = true"#,
    ));
    let mut injection = inject(&locked, &pipeline, 1).await.expect("injected");
    let read = sqlx::query("select * from rows").fetch_all(&database.pool);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), read)
            .await
            .is_err(),
        "it bites"
    );
    assert!(injection.heal().await.expect("healed").felt.is_enough());
    let rows = sqlx::query("select * from rows")
        .fetch_all(&database.pool)
        .await;
    assert_eq!(rows.expect("it heals").len(), 2);
    for (table, rows) in [
        ("nothing", "true"),
        ("rows", "name = 'nobody'"),
        ("rows", "no sql"),
    ] {
        let mistaken = fault(kind(&format!(
            "kind = \"rows_locked\"\ncomponent = \"shop\"\ntable = \"{table}\"\nrows = \"{rows}\""
        )));
        let error = inject(&mistaken, &pipeline, 1)
            .await
            .expect_err("nothing is locked");
        assert!(error.to_string().contains("locking"), "{error}");
    }
}
