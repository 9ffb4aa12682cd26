//! Observing a real pipeline: facts from PostgreSQL, from a JSON endpoint and from the queue, what is outstanding, and
//! products put in place.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, Router, routing::get};
use firedrill::{
    diagnostic::Source,
    system::{Observations, Observer, Outstanding, Product, Reading},
    testbed::{
        KafkaAccess, Pipeline, PipelineRequest, Testbed,
        local::{LocalOptions, LocalTestbed},
    },
    topology::Topology,
};
use firedrill_oracle::record::{Fact, FactKind, Record};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

const TOPOLOGY: &str = r#"
customers.entry = "shop"
[component.postgres]
provided = "postgres"
[component.kafka]
provided = "kafka"
topics = { sales = { partitions = 3 }, "sales.dead" = { partitions = 1 } }
[component.shop]
command = COMMAND
ports = { http = "http" }
ready = "/ready"
database = { name = "shop", migrations = "migrations" }
[component.shop.settings]
COMPONENT_LISTEN = "{listen:http}"
DATABASE_URL = "postgres://{database_user}:{database_password}@{link:postgres}/{database}"
KAFKA = "{link:kafka}"
"#;

const MIGRATION: &str = "
create table orders (id uuid primary key, reference varchar(64), state text, total bigint, version int);
create table products (product_id text primary key, price_minor bigint, currency text);
create table stock (product_id text primary key, initial int, on_hand smallint);
create table audit (order_id uuid, version int, from_state text, to_state text);
";

const OBSERVATIONS: &str = r#"
[[observe]]
fact = "order"
component = "shop"
sql = "select id as order_id, reference, state, state = 'done' as is_final, total as amount_minor, version from orders"
[[observe]]
fact = "audit_entry"
component = "shop"
sql = "select * from audit order by version"
[[observe]]
fact = "stock"
component = "shop"
sql = "select * from stock order by product_id"
[[observe]]
fact = "charge"
component = "shop"
path = "/ledger"
list = "/charges"
fields = { charge_id = "id", order_id = "order", amount_minor = "amount", idempotency_key = "key" }
[[observe]]
fact = "message"
topics = ["sales"]
fields = { message_id = "/id", order_id = "/about/order", kind = "/kind" }
[[observe]]
fact = "parked"
topics = ["sales.dead"]
headers = { group = "who", topic = "from", partition = "partition", offset = "offset", reason = "why" }
[[observe]]
fact = "progress"
group = "till"
topics = ["sales"]
[[settled]]
name = "orders not done"
moving = false
component = "shop"
sql = "select count(*) from orders where state <> 'done'"
[[settled]]
name = "messages not read"
moving = true
group = "till"
topics = ["sales"]
[[arrange.products]]
component = "shop"
sql = "insert into products select product_id, price_minor, currency from arranged"
[[arrange.products]]
component = "shop"
sql = "with doubled as (select product_id, units * 2 as units from arranged) insert into stock select product_id, units, units from doubled"
"#;

/// The component of the topology: this test's own binary in another role.
#[test]
fn acting_as_a_component() {
    let Ok(address) = std::env::var("COMPONENT_LISTEN") else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ledger = json!({"charges": [
            {"id": "c-1", "order": "o-1", "amount": 250, "key": "k"},
            {"id": "c-2", "order": "o-2", "amount": 10, "key": null},
        ]});
        let router = Router::new()
            .route("/ready", get(async || "ready"))
            .route("/ledger", get(async || Json(ledger)));
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        axum::serve(listener, router).await.unwrap();
    });
}

/// A pipeline, and what must outlive it.
struct Bed {
    testbed: LocalTestbed,
    pipeline: Arc<dyn Pipeline>,
    topology: Arc<Topology>,
    _folder: tempfile::TempDir,
}

impl Bed {
    async fn start() -> Self {
        let provider = rustls::crypto::ring::default_provider();
        drop(provider.install_default());
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("migrations")).unwrap();
        fs::write(folder.path().join("migrations/0001_tables.sql"), MIGRATION).unwrap();
        let program = std::env::current_exe().unwrap();
        let command =
            format!("[{program:?}, \"--exact\", \"acting_as_a_component\", \"--nocapture\"]");
        let source = Source::new("topology.toml", TOPOLOGY.replace("COMMAND", &command));
        let topology = Topology::parse(source, folder.path().to_owned());
        let topology = Arc::new(topology.unwrap_or_else(|found| panic!("{found}")));
        let options = LocalOptions::new(Arc::clone(&topology)).unwrap();
        let testbed = LocalTestbed::start(options).await.unwrap();
        let request = PipelineRequest {
            drill: "d1".to_owned(),
            directory: folder.path().to_owned(),
            seed: 7,
            without: Vec::new(),
            settings: BTreeMap::new(),
            replicas: BTreeMap::new(),
            in_background: false,
            cancel: CancellationToken::new(),
        };
        let pipeline = testbed.start(request).await.unwrap();
        Self {
            testbed,
            pipeline,
            topology,
            _folder: folder,
        }
    }

    fn observer(&self, observations: &str) -> Observer {
        let source = Source::new("observations.toml", observations);
        let observations = Observations::parse(source, &self.topology);
        let observations = observations.unwrap_or_else(|found| panic!("{found}"));
        Observer::new(Arc::clone(&self.pipeline), Arc::new(observations)).unwrap()
    }

    async fn execute(&self, sql: &'static str) {
        let url = self.pipeline.database_url("shop").unwrap();
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }

    async fn stop(self) {
        self.pipeline.stop().await.unwrap();
        self.testbed.shut_down().await.unwrap();
    }
}

struct Sent<'a> {
    topic: &'a str,
    partition: i32,
    payload: &'a str,
    headers: &'a [(&'a str, &'a str)],
}

async fn send(access: &KafkaAccess, records: &[Sent<'_>]) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &access.bootstrap)
        .create()
        .unwrap();
    for sent in records {
        let topic = format!("{}{}", access.topic_prefix, sent.topic);
        let headers = sent
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(*value),
                })
            });
        let record = FutureRecord::<(), str>::to(&topic)
            .partition(sent.partition)
            .payload(sent.payload)
            .headers(headers);
        producer.send(record, Duration::from_secs(5)).await.unwrap();
    }
}

fn commit(access: &KafkaAccess, group: &str, topic: &str, partition: i32, offset: i64) {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &access.bootstrap)
        .set("group.id", format!("{}{group}", access.topic_prefix))
        .create()
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    let topic = format!("{}{topic}", access.topic_prefix);
    offsets
        .add_partition_offset(&topic, partition, Offset::Offset(offset))
        .unwrap();
    client.commit(&offsets, CommitMode::Sync).unwrap();
}

fn reading(readings: &[Reading], kind: FactKind) -> &Reading {
    let mut of_kind = readings.iter().filter(|reading| reading.kind == kind);
    let found = of_kind.next().unwrap();
    assert!(of_kind.next().is_none(), "{kind:?} was read twice");
    found
}

fn facts(readings: &[Reading], kind: FactKind) -> &[Fact] {
    let found = reading(readings, kind);
    assert_eq!(found.error, None);
    &found.facts
}

fn products() -> Vec<Product> {
    let product = |number: i64| Product {
        product_id: format!("p-{number}"),
        price_minor: 100 * number,
        currency: "EUR".to_owned(),
        units: number,
    };
    (1..=3).map(product).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_are_read_where_the_file_says() {
    let bed = Bed::start().await;
    let observer = bed.observer(OBSERVATIONS);
    observer.arrange_products(&products()).await.unwrap();
    bed.execute(
        "insert into orders values ('00000000-0000-0000-0000-000000000001', 'r-1', 'open', 250, 2);
         insert into audit values ('00000000-0000-0000-0000-000000000001', 1, null, 'new'),
                                  ('00000000-0000-0000-0000-000000000001', 2, 'new', 'open');",
    )
    .await;
    let access = bed.pipeline.kafka().unwrap();
    let dead = [
        ("who", "till"),
        ("from", "sales"),
        ("partition", "2"),
        ("offset", "7"),
        ("why", "odd"),
    ];
    let sold = r#"{"id": "m-1", "about": {"order": "o-1"}, "kind": "sold"}"#;
    send(
        &access,
        &[
            Sent {
                topic: "sales",
                partition: 0,
                payload: sold,
                headers: &[],
            },
            Sent {
                topic: "sales",
                partition: 0,
                payload: sold,
                headers: &[],
            },
            Sent {
                topic: "sales",
                partition: 2,
                payload: "no JSON",
                headers: &[],
            },
            Sent {
                topic: "sales.dead",
                partition: 0,
                payload: "x",
                headers: &dead,
            },
        ],
    )
    .await;

    let readings = observer.observe().await;
    assert_eq!(
        facts(&readings, FactKind::Order),
        [Fact::Order {
            order_id: "00000000-0000-0000-0000-000000000001".to_owned(),
            reference: "r-1".to_owned(),
            state: "open".to_owned(),
            is_final: false,
            amount_minor: 250,
            version: 2,
            currency: None,
        }]
    );
    let from: Vec<_> = facts(&readings, FactKind::AuditEntry)
        .iter()
        .map(|fact| match fact {
            Fact::AuditEntry { from_state, .. } => from_state.as_deref(),
            _ => panic!("{fact:?}"),
        })
        .collect();
    assert_eq!(from, [None, Some("new")]);
    assert_eq!(facts(&readings, FactKind::Stock).len(), 3);
    assert!(facts(&readings, FactKind::Stock).contains(&Fact::Stock {
        product_id: "p-3".to_owned(),
        initial: 6,
        on_hand: 6,
    }));
    assert_eq!(
        facts(&readings, FactKind::Charge)[1],
        Fact::Charge {
            charge_id: "c-2".to_owned(),
            order_id: "o-2".to_owned(),
            amount_minor: 10,
            idempotency_key: None,
            currency: None,
            at_us: None,
        }
    );
    let messages = facts(&readings, FactKind::Message);
    assert_eq!(messages.len(), 3);
    assert!(messages.contains(&Fact::Message {
        topic: "sales".to_owned(),
        partition: 0,
        offset: 1,
        message_id: Some("m-1".to_owned()),
        order_id: Some("o-1".to_owned()),
        kind: Some("sold".to_owned()),
    }));
    assert!(messages.contains(&Fact::Message {
        topic: "sales".to_owned(),
        partition: 2,
        offset: 0,
        message_id: None,
        order_id: None,
        kind: None,
    }));
    assert_eq!(
        facts(&readings, FactKind::Parked),
        [Fact::Parked {
            group: "till".to_owned(),
            topic: "sales".to_owned(),
            partition: 2,
            offset: 7,
            reason: "odd".to_owned(),
        }]
    );
    let progress: Vec<(i32, i64, i64)> = facts(&readings, FactKind::Progress)
        .iter()
        .map(|fact| match fact {
            Fact::Progress {
                partition,
                committed,
                end,
                ..
            } => (*partition, *committed, *end),
            _ => panic!("{fact:?}"),
        })
        .collect();
    assert_eq!(progress, [(0, 0, 2), (1, 0, 0), (2, 0, 1)]);

    let again = observer.observe().await;
    assert_eq!(facts(&again, FactKind::Message).len(), 3);
    let records: Vec<Record> = again
        .into_iter()
        .flat_map(|one| one.into_records(9))
        .collect();
    let observed = records
        .iter()
        .filter(|record| matches!(record, Record::Observed { .. }));
    assert_eq!(observed.count(), 7);
    observer.close().await;
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_outstanding_is_counted_until_nothing_is() {
    let bed = Bed::start().await;
    let observer = bed.observer(OBSERVATIONS);
    assert_eq!(observer.outstanding().await, Ok(Vec::new()));
    bed.execute(
        "insert into orders values ('00000000-0000-0000-0000-000000000001', 'r', 'open', 1, 1)",
    )
    .await;
    let access = bed.pipeline.kafka().unwrap();
    let one = Sent {
        topic: "sales",
        partition: 1,
        payload: "x",
        headers: &[],
    };
    let other = Sent {
        topic: "sales",
        partition: 1,
        payload: "y",
        headers: &[],
    };
    send(&access, &[one, other]).await;
    let orders = Outstanding {
        name: "orders not done".to_owned(),
        count: 1,
        moving: false,
    };
    let lag = |count| Outstanding {
        name: "messages not read".to_owned(),
        count,
        moving: true,
    };
    assert_eq!(
        observer.outstanding().await,
        Ok(vec![orders.clone(), lag(2)])
    );
    commit(&access, "till", "sales", 1, 1);
    assert_eq!(
        observer.outstanding().await,
        Ok(vec![orders.clone(), lag(1)])
    );
    commit(&access, "till", "sales", 1, 2);
    assert_eq!(observer.outstanding().await, Ok(vec![orders.clone()]));
    assert_eq!(orders.to_string(), "1 orders not done");
    bed.execute("update orders set state = 'done'").await;
    assert_eq!(observer.outstanding().await, Ok(Vec::new()));
    print_poll_time(&observer).await;
    observer.close().await;
    bed.stop().await;
}

#[allow(clippy::print_stderr)] // a time, for who runs it with --nocapture
async fn print_poll_time(observer: &Observer) {
    const POLLS: u32 = 100;
    let begun = Instant::now();
    for _ in 0..POLLS {
        observer.outstanding().await.unwrap();
    }
    eprintln!("{:?} to count what is outstanding", begun.elapsed() / POLLS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_cannot_be_read_says_why() {
    let bed = Bed::start().await;
    bed.execute("insert into stock values ('p', 1, null)").await;
    let access = bed.pipeline.kafka().unwrap();
    let parked = Sent {
        topic: "sales.dead",
        partition: 0,
        payload: "x",
        headers: &[("who", "till")],
    };
    send(&access, &[parked]).await;
    let golden = [
        (
            "total as amount_minor,",
            "total,",
            FactKind::Order,
            "column `total` is no field of orders (known: `amount_minor`, `currency`, `is_final`, `order_id`, \
             `reference`, `state`, `version`)",
        ),
        (
            "total as amount_minor, version from",
            "total as amount_minor from",
            FactKind::Order,
            "the query gives no column `version` (write `... as version`)",
        ),
        (
            "total as amount_minor",
            "total::numeric as amount_minor",
            FactKind::Order,
            "column `amount_minor` must be a whole number, but is NUMERIC (write `amount_minor::bigint`)",
        ),
        (
            "from orders\"",
            "from order\"",
            FactKind::Order,
            "error returned from database: syntax error at or near \"order\"",
        ),
        (
            "select * from stock order",
            "select * from stock order",
            FactKind::Stock,
            "field `on_hand` of stock must be a whole number, but is null",
        ),
        (
            "\"/ledger\"",
            "\"/nowhere\"",
            FactKind::Charge,
            "shop-1: http://ADDRESS/nowhere answered 404 Not Found",
        ),
        (
            "\"/ready\"",
            "\"/ready\"",
            FactKind::Parked,
            "the record sales.dead/0 at 0 has no header `offset`",
        ),
        (
            "\"/charges\"",
            "\"/charge\"",
            FactKind::Charge,
            "the answer has no list at `/charge`",
        ),
        (
            "charge_id = \"id\"",
            "charge_id = \"ident\"",
            FactKind::Charge,
            "an element of `/charges` has no `ident`",
        ),
    ];
    let shop = bed.pipeline.instances("shop");
    let address = bed.pipeline.address(&shop[0], "http").unwrap().to_string();
    for (piece, instead, kind, expected) in golden {
        let observer = bed.observer(&OBSERVATIONS.replacen(piece, instead, 1));
        let readings = observer.observe().await;
        let error = reading(&readings, kind).error.clone().unwrap_or_default();
        let error = error
            .replace(&address, "ADDRESS")
            .replace(&shop[0], "shop-1");
        assert!(error.starts_with(expected), "`{instead}`: {error}");
        let unharmed = reading(&readings, FactKind::Message);
        assert_eq!(unharmed.error, None);
        observer.close().await;
    }
    bed.stop().await;
}

#[test]
fn the_pipeline_has_the_observations_of_its_file() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../system-under-test");
    let topology =
        Topology::load(&root.join("topology.toml")).unwrap_or_else(|found| panic!("{found}"));
    let observations = Observations::load(&root.join("observations.toml"), &topology)
        .unwrap_or_else(|found| panic!("{found}"));
    for kind in FactKind::ALL {
        assert!(
            observations
                .sources
                .iter()
                .any(|source| source.kind == kind),
            "{} are not observed",
            kind.words()
        );
    }
}
