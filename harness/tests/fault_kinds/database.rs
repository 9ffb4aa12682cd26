//! Faults of a database, witnessed by SQL and by who is let in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill::{
    fault::{Fault, Injection, Witness, inject},
    testbed::Pipeline,
};
use sqlx::{Connection, PgConnection};

use super::{fault, kind, logins::Logins, pipeline::SmallPipeline, victim};

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

/// A shop that logs in to its database, and a desk beside it that could.
struct Stage {
    pipeline: Arc<dyn Pipeline>,
    logins: Arc<Logins>,
}

const SOON: Duration = Duration::from_secs(10);

impl Stage {
    async fn set(follows_password: bool) -> Self {
        let logins = Arc::new(Logins::of(&["shop", "desk"]).await);
        let pipeline = SmallPipeline::default()
            .with_database_victim("shop", &logins, follows_password)
            .await
            .share();
        Self { pipeline, logins }
    }

    fn rotated() -> Fault {
        fault(kind("kind = \"secret_rotated\"\ncomponent = \"shop\""))
    }

    async fn rotate(&self) -> Injection {
        let injected = inject(&Self::rotated(), &self.pipeline, 1).await;
        injected.expect("injected")
    }

    async fn shop_is_ready(&self) -> bool {
        let address = self.pipeline.address("shop-1", "http");
        let address = address.expect("it has a port");
        victim::get(address, "/health/ready").await == Some(200)
    }

    /// Why nobody is let in as this component with the password of its file.
    async fn refusal(&self, component: &str) -> Option<String> {
        let error = self.logins.log_in(component).await.err()?;
        let code = error.as_database_error().and_then(|error| error.code());
        Some(code.map_or_else(|| error.to_string(), |code| code.into_owned()))
    }
}

async fn answers(connection: &mut PgConnection) -> bool {
    sqlx::query("select 1").execute(connection).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_only_the_database_knows_is_refused_until_both_sides_know_it() {
    let stage = Stage::set(true).await;
    let logins = &stage.logins;
    let mut of_shop = logins.log_in("shop").await.expect("let in");
    let mut of_desk = logins.log_in("desk").await.expect("let in");
    let mut of_harness = PgConnection::connect(&logins.url("shop"))
        .await
        .expect("let in");
    let mut injection = stage.rotate().await;
    assert_eq!(injection.felt().await.expect("a witness").count, 0);
    assert!(!answers(&mut of_shop).await, "what was open is ended");
    assert_eq!(stage.refusal("shop").await.as_deref(), Some("28P01"));
    assert!(!stage.shop_is_ready().await, "it bites");
    // At first it may have learnt so from the session that was ended, without a login.
    tokio::time::timeout(SOON, async {
        while injection.felt().await.expect("a witness").count < 2 {
            assert!(!stage.shop_is_ready().await, "it bites");
        }
    })
    .await
    .expect("its login is refused");
    let felt = injection.felt().await.expect("a witness");
    assert_eq!(felt.witness, Witness::LoginsRefused);
    assert!(answers(&mut of_desk).await, "it spares");
    assert_eq!(stage.refusal("desk").await, None, "it spares");
    assert!(answers(&mut of_harness).await, "nobody else is refused");
    assert!(PgConnection::connect(&logins.url("shop")).await.is_ok());
    let report = injection.heal().await.expect("healed");
    let words = [
        "shop was told the new password",
        "shop-1 is ready with the new password",
    ];
    assert_eq!(report.restored, words);
    assert_eq!(stage.refusal("shop").await, None, "it heals");
    let exits = stage.pipeline.exits("shop-1");
    assert!(exits.is_empty(), "nothing was started again");
    logins.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_keeps_its_first_password_stays_refused_and_that_is_no_error() {
    let stage = Stage::set(false).await;
    let mut injection = stage.rotate().await;
    assert!(!stage.shop_is_ready().await, "it bites");
    let report = injection.heal().await.expect("healed");
    let words = [
        "shop was told the new password",
        "shop-1 was told the new password and is not ready",
    ];
    assert_eq!(report.restored, words);
    assert!(report.felt.is_enough(), "its logins were refused");
    assert_eq!(stage.refusal("shop").await, None, "both sides agree");
    assert!(!stage.shop_is_ready().await, "nobody helped it");
    stage.logins.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_fails_half_way_leaves_both_sides_with_the_same_password() {
    let stage = Stage::set(true).await;
    let before = std::fs::read(stage.logins.password_file("shop")).expect("its file");
    stage.logins.break_half_way();
    let error = inject(&Stage::rotated(), &stage.pipeline, 1)
        .await
        .expect_err("it fails");
    assert!(error.to_string().contains("broke down"), "{error}");
    let after = std::fs::read(stage.logins.password_file("shop")).expect("its file");
    assert_ne!(before, after, "the password was changed already");
    assert_eq!(stage.refusal("shop").await, None);
    let ready = stage.pipeline.ready("shop-1", SOON).await;
    ready.expect("it is let in");
    stage.logins.stop().await;
}
