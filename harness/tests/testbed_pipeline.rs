//! From a topology to a running system: links, settings, readiness, ends and new starts, several drills at once.

#![allow(clippy::print_stderr)] // times, for who runs it with --nocapture

mod testbed_support;

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill::{
    diagnostic::Source,
    testbed::{
        LinkSelector, Pipeline, PipelineRequest, Signal, Testbed, TestbedError,
        local::{LocalOptions, LocalTestbed},
    },
    topology::Topology,
};
use sqlx::{Connection, PgConnection, Row};
use testbed_support::component::{self, get};
use tokio_util::sync::CancellationToken;

/// Two desks that ask two shops; the shops have a database and a broker.
const TOPOLOGY: &str = r#"
[customers]
entry = "desk/http"
[settings]
COMPONENT_LISTEN = "{listen:http}"
NAME = "{instance}"
OFF = "{defences_off}"
[component.postgres]
provided = "postgres"
[component.kafka]
provided = "kafka"
[component.kafka.topics]
orders = { partitions = 3 }
[component.store]
provided = "object-store"
[component.shop]
command  = COMMAND
replicas = 2
ports    = { http = "http" }
ready    = "/ready"
database = { name = "shop", migrations = "shop" }
[component.shop.settings]
DATABASE_URL = "postgres://{database_user}:{database_password}@{link:postgres}/{database}"
PASSWORD     = "{database_password_file}"
KAFKA        = "{link:kafka}"
PREFIX       = "{topic_prefix}"
CERTIFICATE  = "{certificate_file}"
STORE         = "{link:store}"
BUCKET        = "{bucket}"
BUCKET_KEY    = "{bucket_access_key}"
BUCKET_SECRET = "{bucket_secret_key}"
[component.desk]
command  = COMMAND
replicas = 2
ports    = { http = "http" }
ready    = "/ready"
stop_grace_s = 2
shares_database_of = "shop"
[component.desk.settings]
SHOPS = "{link:shop}"
DATABASE_URL = "postgres://{database_user}:{database_password}@{link:postgres}/{database}"
PASSWORD = "{database_password_file}"
"#;

#[test]
fn acting_as_a_component() {
    component::serve_if_asked();
}

/// A testbed, and the folder with its topology and logs.
struct Bed {
    testbed: LocalTestbed,
    folder: tempfile::TempDir,
}

impl Bed {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("shop")).expect("made");
        fs::write(
            folder.path().join("shop/0001_goods.sql"),
            "create table goods (name text primary key);",
        )
        .expect("written");
        let text = TOPOLOGY.replace("COMMAND", &component::command());
        let topology = Topology::parse(
            Source::new("topology.toml", &text),
            folder.path().to_owned(),
        );
        let options = LocalOptions::new(Arc::new(topology.expect("it is right"))).expect("options");
        let begun = Instant::now();
        let testbed = LocalTestbed::start(options).await.expect("a testbed");
        eprintln!("testbed up after {:?}", begun.elapsed());
        Self { testbed, folder }
    }

    fn request(&self, drill: &str) -> PipelineRequest {
        let directory = self.folder.path().join(drill);
        fs::create_dir(&directory).expect("made");
        PipelineRequest {
            drill: drill.to_owned(),
            directory,
            seed: 7,
            without: Vec::new(),
            settings: BTreeMap::new(),
            replicas: BTreeMap::new(),
            in_background: false,
            cancel: CancellationToken::new(),
        }
    }

    async fn pipeline(&self, drill: &str) -> Arc<dyn Pipeline> {
        let begun = Instant::now();
        let pipeline = self
            .testbed
            .start(self.request(drill))
            .await
            .expect("a pipeline");
        eprintln!("{drill} up after {:?}", begun.elapsed());
        pipeline
    }

    async fn shut_down(self) {
        let run = self.testbed.run_folder().to_owned();
        self.testbed.shut_down().await.expect("shut down");
        assert!(!run.exists(), "{} is left", run.display());
    }
}

fn http(pipeline: &Arc<dyn Pipeline>, instance: &str) -> SocketAddr {
    pipeline
        .address(instance, "http")
        .expect("it has that port")
}

async fn environment(pipeline: &Arc<dyn Pipeline>, instance: &str) -> BTreeMap<String, String> {
    let (_, lines) = get(http(pipeline, instance), "/environment")
        .await
        .expect("an answer");
    lines
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

fn failing(error: &TestbedError) -> String {
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_gets_exactly_its_settings_and_only_proxies_as_addresses() {
    let bed = Bed::start().await;
    let mut request = bed.request("d0001");
    request.without = vec!["shop.stock".to_owned(), "shop.price".to_owned()];
    request.settings.insert(
        ("shop".to_owned(), "EXTRA".to_owned()),
        "{as it is}".to_owned(),
    );
    let pipeline = bed.testbed.start(request).await.expect("a pipeline");
    let shop = environment(&pipeline, "shop-2").await;
    assert_eq!(shop["NAME"], "shop-2");
    assert_eq!(shop["OFF"], "shop.stock,shop.price");
    assert_eq!(shop["EXTRA"], "{as it is}");
    assert_eq!(shop["PREFIX"], "d0001.");
    assert!(Path::new(&shop["CERTIFICATE"]).is_file());
    assert!(
        shop.keys().all(|name| name != "CARGO_MANIFEST_DIR"),
        "the harness's environment leaks"
    );
    // No address that a component is told is a server's own.
    let own: Vec<String> = [
        ("postgres", "postgres"),
        ("kafka", "kafka"),
        ("shop-1", "http"),
        ("shop-2", "http"),
    ]
    .iter()
    .map(|(instance, port)| {
        pipeline
            .address(instance, port)
            .expect("an address")
            .to_string()
    })
    .collect();
    let desk = environment(&pipeline, "desk-1").await;
    for told in [&shop["DATABASE_URL"], &shop["KAFKA"], &desk["SHOPS"]] {
        assert!(
            own.iter().all(|address| !told.contains(address)),
            "{told} leads around the proxy"
        );
    }
    let other = environment(&pipeline, "desk-2").await;
    assert_ne!(desk["SHOPS"], other["SHOPS"], "two instances share a proxy");
    assert_eq!(
        get(http(&pipeline, "desk-1"), "/ask/SHOPS")
            .await
            .expect("an answer")
            .1,
        "ready,ready"
    );
    pipeline.stop().await.expect("stopped");
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drills_run_in_parallel_without_seeing_each_other() {
    let bed = Bed::start().await;
    let (one, other) = tokio::join!(bed.pipeline("d0001"), bed.pipeline("d0002"));
    let connect = |pipeline: &Arc<dyn Pipeline>| {
        let url = pipeline.database_url("shop").expect("it has a database");
        async move { PgConnection::connect(&url).await.expect("connected") }
    };
    let mut in_one = connect(&one).await;
    let mut in_other = connect(&other).await;
    sqlx::query("insert into goods values ('apple')")
        .execute(&mut in_one)
        .await
        .expect("inserted");
    let count = sqlx::query("select count(*) from goods")
        .fetch_one(&mut in_other)
        .await
        .expect("counted");
    assert_eq!(count.get::<i64, _>(0), 0);
    let brokers = [
        one.kafka().expect("a broker").bootstrap,
        other.kafka().expect("a broker").bootstrap,
    ];
    assert_ne!(brokers[0], brokers[1]);
    one.signal("shop-1", Signal::Kill).await.expect("killed");
    one.wait_for_exit("shop-1", 0).await;
    assert!(
        get(http(&other, "shop-1"), "/ready").await.is_some(),
        "the other drill's instance died"
    );
    assert!(other.exits("shop-1").is_empty());
    one.stop().await.expect("stopped");
    other.stop().await.expect("stopped");
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_seen_and_a_new_start_finds_the_same_port() {
    let bed = Bed::start().await;
    let pipeline = bed.pipeline("d0001").await;
    let address = http(&pipeline, "shop-1");
    get(address, "/exit/3").await;
    let exit = pipeline.wait_for_exit("shop-1", 0).await;
    assert_eq!(
        (exit.code, exit.signal, exit.expected),
        (Some(3), None, false)
    );
    assert!(
        pipeline.signal("shop-1", Signal::Kill).await.is_err(),
        "a signal to nobody must not pass for one"
    );
    pipeline.start_again("shop-1").await.expect("started");
    pipeline
        .ready("shop-1", Duration::from_secs(5))
        .await
        .expect("ready");
    assert_eq!(http(&pipeline, "shop-1"), address);
    assert!(
        pipeline.start_again("shop-1").await.is_err(),
        "it runs already"
    );
    pipeline
        .signal("shop-1", Signal::Kill)
        .await
        .expect("killed");
    let exit = pipeline.wait_for_exit("shop-1", 1).await;
    assert_eq!(
        (exit.code, exit.signal, exit.expected),
        (None, Some(9), false)
    );
    pipeline.stop().await.expect("stopped");
    assert_eq!(pipeline.exits("shop-1").len(), 2);
    let asked: Vec<bool> = pipeline
        .exits("shop-2")
        .iter()
        .map(|exit| exit.expected)
        .collect();
    assert_eq!(asked, [true], "the end of a stop is an expected one");
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_instance_is_silent_until_it_is_thawed_and_can_be_stopped() {
    let bed = Bed::start().await;
    let pipeline = bed.pipeline("d0001").await;
    pipeline
        .signal("desk-1", Signal::Stop)
        .await
        .expect("frozen");
    let frozen = pipeline.ready("desk-1", Duration::from_millis(300)).await;
    assert!(frozen.is_err(), "it answers though it is frozen");
    pipeline
        .signal("desk-1", Signal::Continue)
        .await
        .expect("thawed");
    pipeline
        .ready("desk-1", Duration::from_secs(5))
        .await
        .expect("ready");
    pipeline
        .signal("desk-1", Signal::Stop)
        .await
        .expect("frozen");
    pipeline.stop().await.expect("stopped");
    assert_eq!(pipeline.exits("desk-1").len(), 1);
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_fails_at_the_start_is_named_with_its_last_words() {
    let bed = Bed::start().await;
    let mut request = bed.request("d0001");
    request.settings.insert(
        ("shop".to_owned(), "COMPONENT_FAILS".to_owned()),
        "yes".to_owned(),
    );
    let begun = Instant::now();
    let error = bed
        .testbed
        .start(request)
        .await
        .map(drop)
        .expect_err("it cannot start");
    let message = failing(&error);
    assert!(
        message.contains("exit code 78") && message.contains("cannot read the configuration"),
        "{message}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "waited for a dead process"
    );
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_become_ready_is_named_with_its_reason() {
    let bed = Bed::start().await;
    let pipeline = bed.pipeline("d0001").await;
    pipeline.stop().await.expect("stopped");
    let mut request = bed.request("d0002");
    let never = ("desk".to_owned(), "COMPONENT_NEVER_READY".to_owned());
    request.settings.insert(never, "no paper".to_owned());
    let cancel = request.cancel.clone();
    let starting = bed.testbed.start(request);
    let cancelling = async {
        // Interrupted while it waits for a readiness that never comes.
        let log: PathBuf = bed.folder.path().join("d0002/desk-1.log");
        let waiting = async {
            let mut look = tokio::time::interval(Duration::from_millis(5));
            while !fs::read_to_string(&log).is_ok_and(|text| text.contains("listening")) {
                look.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .expect("it listens");
        cancel.cancel();
        Instant::now()
    };
    let (outcome, cancelled) = tokio::join!(starting, cancelling);
    assert!(matches!(outcome.map(drop), Err(TestbedError::Interrupted)));
    assert!(
        cancelled.elapsed() < Duration::from_secs(1),
        "an interruption waits"
    );
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_does_not_exist_is_refused_with_those_that_do() {
    let bed = Bed::start().await;
    let pipeline = bed.pipeline("d0001").await;
    let selector = |client: &str, server: &str| LinkSelector {
        client: client.into(),
        server: server.into(),
    };
    let links = pipeline
        .links(&selector("desk", "shop"))
        .expect("they exist");
    assert_eq!(
        links.len(),
        4,
        "every pair of instances has a proxy of its own"
    );
    let error = pipeline
        .links(&selector("desk", "kafka"))
        .expect_err("a desk has nothing to do with the queue");
    assert!(failing(&error).contains("desk -> shop"), "{error}");
    assert!(
        pipeline.signal("postgres", Signal::Kill).await.is_err(),
        "other drills share the server"
    );
    pipeline.stop().await.expect("stopped");
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_has_an_object_store_of_its_own_behind_a_proxy() {
    let bed = Bed::start().await;
    let (one, other) = tokio::join!(bed.pipeline("d0001"), bed.pipeline("d0002"));
    let shop = environment(&one, "shop-1").await;
    let access = one.object_store().expect("an object store");
    let told = [&shop["BUCKET"], &shop["BUCKET_KEY"], &shop["BUCKET_SECRET"]];
    assert_eq!(
        told,
        [&access.bucket, &access.access_key, &access.secret_key]
    );
    let others = other.object_store().expect("an object store");
    assert_ne!(access.bucket, others.bucket);
    assert_ne!(access.secret_key, others.secret_key);
    let direct = one.address("store", "s3").expect("an address");
    assert_eq!(access.url, format!("http://{direct}"));
    let proxy: SocketAddr = shop["STORE"].parse().expect("one address");
    assert_ne!(proxy, direct);
    // Nobody reads without a signature, and what refuses is S3.
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let url = format!("http://{proxy}/{}/some-object", access.bucket);
    let refused = client.get(&url).send().await.expect("an answer");
    assert_eq!(refused.status(), 403);
    let reason = refused.text().await.expect("its text");
    assert!(reason.contains("<Code>AccessDenied</Code>"), "{reason}");
    let selector = LinkSelector {
        client: "shop".to_owned(),
        server: "store".to_owned(),
    };
    assert_eq!(one.links(&selector).expect("a link for each shop").len(), 2);
    one.stop().await.expect("stopped");
    assert!(get(direct, "/").await.is_none(), "it still listens");
    let files = bed.testbed.run_folder().join("object-store-d0001");
    assert!(!files.exists(), "{} is left", files.display());
    other.stop().await.expect("stopped");
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_can_use_the_database_of_another() {
    let bed = Bed::start().await;
    let pipeline = bed.pipeline("d0001").await;
    let desk = environment(&pipeline, "desk-1").await;
    let shop = environment(&pipeline, "shop-1").await;
    let without_address = |url: &str| {
        let (user, rest) = url.split_once('@').expect("a user");
        let (_, database) = rest.split_once('/').expect("a database");
        (user.to_owned(), database.to_owned())
    };
    assert_eq!(
        without_address(&desk["DATABASE_URL"]),
        without_address(&shop["DATABASE_URL"])
    );
    assert_ne!(
        desk["DATABASE_URL"], shop["DATABASE_URL"],
        "they share a proxy"
    );
    assert_eq!(pipeline.database_url("desk"), pipeline.database_url("shop"));
    assert_eq!(
        pipeline.database_login("desk"),
        pipeline.database_login("shop")
    );
    assert_eq!(desk["PASSWORD"], shop["PASSWORD"]);
    pipeline.stop().await.expect("stopped");
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_told_of_another_password_in_its_file_and_other_drills_are_not() {
    let bed = Bed::start().await;
    let (one, other) = tokio::join!(bed.pipeline("d0001"), bed.pipeline("d0002"));
    let (in_one, in_other) = (
        environment(&one, "shop-1").await,
        environment(&other, "shop-1").await,
    );
    let file = |shop: &BTreeMap<String, String>| {
        fs::read_to_string(&shop["PASSWORD"]).expect("its password")
    };
    let (first, others) = (file(&in_one), file(&in_other));
    assert!(in_one["DATABASE_URL"].contains(&format!(":{first}@")));
    assert_ne!(first, others);
    one.change_database_password("shop").await.expect("changed");
    assert_eq!(file(&in_one), first, "it has not been told");
    one.tell_database_password("shop").await.expect("told");
    assert_ne!(file(&in_one), first);
    assert_eq!(file(&in_other), others);
    let login = one.database_login("shop").expect("it logs in");
    let connect = |password: String| {
        let postgres = one.address("postgres", "postgres").expect("an address");
        let user = &login.user;
        let url = format!("postgres://{user}:{password}@{postgres}/{user}?sslmode=disable");
        async move { PgConnection::connect(&url).await }
    };
    assert!(connect(first).await.is_err(), "the old password is good");
    assert!(connect(file(&in_one)).await.is_ok());
    let stranger = one.change_database_password("store").await;
    assert!(stranger.is_err_and(|error| error.to_string().contains("store")));
    one.stop().await.expect("stopped");
    assert!(!Path::new(&in_one["PASSWORD"]).exists(), "it is left");
    other.stop().await.expect("stopped");
    bed.shut_down().await;
}
