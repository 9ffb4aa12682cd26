//! What the tests of this service share.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::net::{Ipv4Addr, SocketAddr};

use analytics_service::MIGRATIONS;
use contracts::{Envelope, OrderEvent, OrderEventBody, OrderEventKind, topic};
use kafka_broker::{Broker, BrokerConfig, Listener};
use local_object_store::{Access, LocalObjectStore};
use service_testing::TestDatabase;
use tempfile::TempDir;
use time::OffsetDateTime;
use uuid::Uuid;

const PARTITIONS: i32 = 2;

/// A database, a broker and an object store of one test.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) broker: Broker,
    pub(crate) lake: LocalObjectStore,
    listener: Listener,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        // Another test may have chosen it already.
        let _installed = rustls_ring();
        let broker = Broker::new(BrokerConfig::default());
        for name in [topic::ORDER_EVENTS, "order-events.dead"] {
            broker.create_topic(name, PARTITIONS).expect("a topic");
        }
        let listener = broker.listen("analytics", None).await.expect("a listener");
        let folder = tempfile::tempdir().expect("a folder");
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let access = Access {
            bucket: "lake".to_owned(),
            access_key: "key".to_owned(),
            secret_key: "secret".to_owned(),
        };
        let lake = LocalObjectStore::start(folder.path(), any_port, access).await;
        Self {
            database: service_testing::database(&MIGRATIONS).await,
            broker,
            lake: lake.expect("an object store"),
            listener,
            _folder: folder,
        }
    }

    /// The settings of a service in this world.
    pub(crate) fn values(&self) -> Vec<(String, String)> {
        self.values_with_lake(self.lake.address())
    }

    /// The same with another way to the object store.
    pub(crate) fn values_with_lake(&self, lake: SocketAddr) -> Vec<(String, String)> {
        [
            ("DATABASE_URL", self.database.url.clone()),
            (
                "KAFKA_BROKERS",
                format!("127.0.0.1:{}", self.listener.port()),
            ),
            ("KAFKA_SESSION_TIMEOUT_MS", "1000".to_owned()),
            ("KAFKA_HEARTBEAT_MS", "100".to_owned()),
            ("KAFKA_WORK_PAUSE_MS", "5".to_owned()),
            ("LAKE_ENDPOINT", format!("http://{lake}")),
            ("LAKE_BUCKET", "lake".to_owned()),
            ("LAKE_ACCESS_KEY", "key".to_owned()),
            ("LAKE_SECRET_KEY", "secret".to_owned()),
            ("LAKE_OBJECT_LINGER_MS", "20".to_owned()),
            ("LAKE_REQUEST_LIMIT_MS", "3000".to_owned()),
            ("BATCH_INTERVAL_MS", "20".to_owned()),
            ("WINDOW_S", "60".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Puts an event into its partition; the same event may be put several times.
    pub(crate) fn append(&self, event: &OrderEvent) {
        let payload = contracts::write(event).expect("written").to_string();
        self.append_raw(event.order_id, payload.as_bytes());
    }

    pub(crate) fn append_raw(&self, order_id: Uuid, payload: &[u8]) {
        let key = order_id.to_string();
        let partition = i32::from(order_id.as_bytes()[15] & 1);
        self.broker
            .append(
                topic::ORDER_EVENTS,
                partition,
                Some(key.as_bytes()),
                Some(payload),
                &[],
            )
            .expect("appended");
    }

    /// Counts rows, or whatever else the query returns as one number.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.database.pool)
            .await
            .expect("counted")
    }

    /// The names of the objects in the lake, as files.
    pub(crate) fn objects(&self) -> Vec<String> {
        let mut objects = Vec::new();
        let folder = self.lake.folder().join("lake").join(topic::ORDER_EVENTS);
        for partition in 0..PARTITIONS {
            let Ok(entries) = std::fs::read_dir(folder.join(partition.to_string())) else {
                continue;
            };
            for entry in entries {
                let name = entry.expect("an entry").file_name();
                objects.push(format!("{partition}/{}", name.to_string_lossy()));
            }
        }
        objects.sort();
        objects
    }
}

fn rustls_ring() -> bool {
    rustls::crypto::ring::default_provider()
        .install_default()
        .is_ok()
}

/// As a service takes its settings.
pub(crate) fn borrowed(values: &[(String, String)]) -> Vec<(&str, &str)> {
    values
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// An event of an order of its own.
pub(crate) fn event(kind: OrderEventKind, at: OffsetDateTime, amount_minor: i64) -> OrderEvent {
    event_of(Uuid::new_v4(), kind, at, amount_minor)
}

pub(crate) fn event_of(
    order_id: Uuid,
    kind: OrderEventKind,
    at: OffsetDateTime,
    amount_minor: i64,
) -> OrderEvent {
    let body = OrderEventBody {
        kind,
        sequence: 3,
        lines: Vec::new(),
        amount_minor,
        currency: "EUR".to_owned(),
        customer_id: "c-1".to_owned(),
    };
    Envelope::once_per_order(order_id, at, body)
}
