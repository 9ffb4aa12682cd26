//! Faults of a database, witnessed by SQL.

use std::time::{Duration, Instant};

use firedrill::fault::inject;

use super::{fault, kind, pipeline::SmallPipeline};

const TABLES: &[(&str, &str)] = &[(
    "0001_rows.sql",
    "create table rows (name text primary key, units int not null); insert into rows values ('a', 1), ('b', 1), ('c', 1);",
)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_row_makes_others_wait_until_it_is_let_go() {
    let database = service_testing::database(TABLES).await;
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
    let database = service_testing::database(TABLES).await;
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
    assert_eq!(rows.expect("it heals").len(), 3);
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

/// Takes two rows in one transaction; the SQLSTATE when it fails.
async fn take_both(pool: &sqlx::PgPool) -> Result<(), String> {
    let work = async {
        let mut transaction = pool.begin().await?;
        for name in ["a", "b"] {
            sqlx::query("update rows set units = units + 1 where name = $1")
                .bind(name)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    };
    work.await.map_err(|error: sqlx::Error| {
        let code = error.as_database_error().and_then(|error| error.code());
        code.map_or_else(|| error.to_string(), |code| code.into_owned())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_taken_crosswise_make_a_victim_of_who_takes_both() {
    let database = service_testing::database(TABLES).await;
    let pipeline = SmallPipeline::default()
        .with_database("shop", &database.url)
        .share();
    let crosswise = |first: &str, then: &str| {
        fault(kind(&format!(
            "kind = \"deadlock\"\ncomponent = \"shop\"\nfirst = {first}\nthen = {then}"
        )))
    };
    let rows = |name: &str| format!(r#"{{ table = "rows", rows = "name = '{name}'" }}"#);
    let mut injection = inject(&crosswise(&rows("b"), &rows("a")), &pipeline, 1)
        .await
        .expect("injected");
    for _ in 0..5 {
        sqlx::query("update rows set units = 2 where name = 'c'")
            .execute(&database.pool)
            .await
            .expect("who takes other rows is spared");
    }
    assert_eq!(injection.felt().await.expect("a witness").count, 0);
    service_testing::eventually("a victim", async || {
        take_both(&database.pool).await == Err("40P01".to_owned())
    })
    .await;
    let felt = injection
        .wait_until_felt(1, Duration::from_secs(20))
        .await
        .expect("a witness");
    assert!(felt.is_enough(), "the database counts it");
    injection.heal().await.expect("healed");
    for _ in 0..5 {
        assert_eq!(take_both(&database.pool).await, Ok(()), "it heals");
    }
    for nothing in [rows("nobody"), r#"{ table = "nothing" }"#.to_owned()] {
        let error = inject(&crosswise(&rows("b"), &nothing), &pipeline, 1)
            .await
            .expect_err("nothing is locked");
        assert!(error.to_string().contains("looking at"), "{error}");
    }
}
