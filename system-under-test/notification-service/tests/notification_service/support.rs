//! What the tests of this service share: a database, a broker, and a message provider, all real.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::sync::OnceLock;
use std::time::Duration;

use contracts::{Envelope, Line, OrderEvent, OrderEventBody, OrderEventKind, topic};
use external_world::message_provider;
use kafka_broker::{Broker, BrokerConfig, Record};
use notification_service::MIGRATIONS;
use notification_service::config::Config;
use reqwest::StatusCode;
use serde_json::Value;
use service_kit::service::Service;
use service_testing::TestDatabase;
use time::OffsetDateTime;
use uuid::Uuid;

/// How long a test waits for something.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

const PARTITIONS: i32 = 2;

/// Everything that the service connects to.
pub(crate) struct Surroundings {
    pub(crate) database: TestDatabase,
    pub(crate) broker: Broker,
    brokers: String,
    provider: Service,
    provider_addresses: external_world::Addresses,
    _provider_database: TestDatabase,
    files: tempfile::TempDir,
    http: reqwest::Client,
    provider_url: String,
    ca_file: String,
}

impl Surroundings {
    /// A message provider with these settings, beside a broker and a database.
    pub(crate) async fn new(provider_settings: &[(&str, &str)]) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let files = tempfile::tempdir().expect("a folder");
        let path = |name: &str| files.path().join(name).to_string_lossy().into_owned();
        let issued =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let (certificate, key) = (path("cert.pem"), path("key.pem"));
        std::fs::write(&certificate, issued.cert.pem()).expect("written");
        std::fs::write(&key, issued.signing_key.serialize_pem()).expect("written");
        let provider_database = service_testing::database(message_provider::MIGRATIONS).await;
        let mut values = vec![
            ("LISTEN_PUBLIC", "127.0.0.1:0"),
            ("CERTIFICATE_FILE", &certificate),
            ("PRIVATE_KEY_FILE", &key),
            ("DATABASE_URL", &provider_database.url),
        ];
        values.extend(provider_settings);
        let served = OnceLock::new();
        let start = async |config, service| {
            let addresses = message_provider::serve(config, &service).await?;
            served
                .set(addresses)
                .map_err(|_| anyhow::anyhow!("started twice"))
        };
        let read = message_provider::Config::read;
        let provider = service_testing::start("message-provider", &values, read, start).await;
        let provider_addresses = *served.get().expect("started");
        let broker = Broker::new(BrokerConfig::default());
        for name in [topic::ORDER_EVENTS, "order-events.dead"] {
            broker.create_topic(name, PARTITIONS).expect("a topic");
        }
        let listener = broker
            .listen("notification", None)
            .await
            .expect("a listener");
        Self {
            database: service_testing::database(&MIGRATIONS).await,
            brokers: format!("127.0.0.1:{}", listener.port()),
            broker,
            provider,
            provider_url: format!("https://{}", provider_addresses.public),
            provider_addresses,
            _provider_database: provider_database,
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            ca_file: certificate,
            files,
        }
    }

    /// A file with the certificate of somebody who is not the provider.
    pub(crate) fn trusting_somebody_else(&self) -> String {
        let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let path = self.files.path().join("trusted.pem");
        std::fs::write(&path, other.expect("a certificate").cert.pem()).expect("written");
        path.to_string_lossy().into_owned()
    }

    /// Puts the provider's certificate into such a file.
    pub(crate) fn trust_the_provider(&self, trusted: &str) {
        let new = self.files.path().join("trusted.new");
        std::fs::copy(&self.ca_file, &new).expect("copied");
        std::fs::rename(new, trusted).expect("replaced");
    }

    /// The settings of a service in these surroundings.
    pub(crate) fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut settings = vec![
            ("INSTANCE", "notification-service-1"),
            ("DATABASE_URL", self.database.url.as_str()),
            ("KAFKA_BROKERS", self.brokers.as_str()),
            ("KAFKA_SESSION_TIMEOUT_MS", "1000"),
            ("KAFKA_HEARTBEAT_MS", "100"),
            ("KAFKA_WORK_PAUSE_MS", "5"),
            ("PROVIDER_URL", self.provider_url.as_str()),
            ("CA_FILE", self.ca_file.as_str()),
        ];
        settings.extend(more);
        settings
    }

    /// Starts the service without these defences, and waits until it is ready.
    pub(crate) async fn start_without(&self, defences_off: &str) -> Service {
        self.start_with(&[("DEFENCES_OFF", defences_off)]).await
    }

    /// Starts the service with these settings more, and waits until it is ready.
    pub(crate) async fn start_with(&self, more: &[(&str, &str)]) -> Service {
        let settings = self.settings(more);
        let service = service_testing::start(
            notification_service::NAME,
            &settings,
            Config::read,
            notification_service::start,
        )
        .await;
        service_testing::eventually("ready", async || service.health.readiness().await.ready).await;
        service
    }

    pub(crate) fn publish(&self, event: &OrderEvent) {
        self.publish_value(&contracts::write(event).expect("written"));
    }

    pub(crate) fn publish_value(&self, event: &Value) {
        self.publish_bytes(event.to_string().as_bytes());
    }

    pub(crate) fn publish_bytes(&self, payload: &[u8]) {
        self.broker
            .append(topic::ORDER_EVENTS, 0, Some(b"k"), Some(payload), &[])
            .expect("appended");
    }

    /// Waits until the service has committed so many events.
    pub(crate) async fn committed(&self, events: i64) {
        let done = |broker: &Broker| {
            let progress = broker.group_progress();
            let committed: i64 = progress.iter().filter_map(|one| one.committed).sum();
            committed == events
        };
        let met = self.broker.wait_for(LIMIT, done).await;
        assert!(met, "{:?}", self.broker.group_progress());
    }

    /// Sets a script of the message provider.
    pub(crate) async fn script(&self, script: Value) {
        let base = self.provider_addresses.http;
        let url = format!("http://{base}/control/scripts/test");
        let answer = self.http.put(url).json(&script).send().await;
        let status = answer.expect("an answer").status();
        assert_eq!(status, StatusCode::NO_CONTENT);
    }

    pub(crate) async fn mailbox(&self) -> Value {
        let url = format!("http://{}/control/mailbox", self.provider_addresses.http);
        let answer = self.http.get(url).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// What an order's customer was told: `kind:channel`, sorted, repetitions kept.
    pub(crate) async fn told(&self, order_id: Uuid) -> Vec<String> {
        let mailbox = self.mailbox().await;
        let mut told: Vec<_> = mailbox["messages"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|message| message["reference"] == order_id.to_string())
            .map(|message| {
                let part = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
                format!("{}:{}", part("kind"), part("channel"))
            })
            .collect();
        told.sort();
        told
    }

    /// Why events were parked, in the order in which they were.
    pub(crate) fn parked(&self) -> Vec<String> {
        (0..PARTITIONS)
            .flat_map(|partition| {
                self.broker
                    .records("order-events.dead", partition, 0)
                    .expect("the topic is there")
            })
            .map(|record| reason(&record))
            .collect()
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.database.pool)
            .await
            .expect("counted")
    }
}

impl Drop for Surroundings {
    fn drop(&mut self) {
        self.provider.shutdown.begin();
    }
}

fn reason(record: &Record) -> String {
    let mut headers = record.headers.iter();
    let header = headers.find(|header| header.key == "dead-reason");
    let value = header.and_then(|header| header.value.as_deref());
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

/// An event of an order.
pub(crate) fn event_of(order_id: Uuid, kind: OrderEventKind) -> OrderEvent {
    let body = OrderEventBody {
        kind,
        sequence: 3,
        lines: vec![Line {
            product_id: "p-1".to_owned(),
            quantity: 2,
        }],
        amount_minor: 1_200,
        currency: "EUR".to_owned(),
        customer_id: "customer-007".to_owned(),
    };
    Envelope::once_per_order(order_id, OffsetDateTime::now_utc(), body)
}
