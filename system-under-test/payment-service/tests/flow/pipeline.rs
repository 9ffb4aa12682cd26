//! The payment service between a real provider and a real queue, on a real PostgreSQL, all in this process.

use std::sync::OnceLock;
use std::time::Duration;

use contracts::message::{Envelope, read};
use contracts::payment::{PaymentCommandKind, PaymentResultKind};
use contracts::topic;
use external_world::payment_provider;
use kafka_broker::{Broker, BrokerConfig, Record};
use reqwest::Client;
use serde_json::Value;
use service_kit::service::Service;
use service_testing::TestDatabase;
use time::OffsetDateTime;
use uuid::Uuid;

/// How long a test waits for something that must come.
const LIMIT: Duration = Duration::from_secs(15);

/// Quick reactions; every drill has such settings.
const QUICK: &[(&str, &str)] = &[
    ("KAFKA_SESSION_TIMEOUT_MS", "1000"),
    ("KAFKA_HEARTBEAT_MS", "200"),
    ("KAFKA_MAX_POLL_INTERVAL_MS", "2000"),
    ("KAFKA_FETCH_WAIT_MS", "20"),
    ("KAFKA_WORK_ATTEMPTS", "2"),
    ("KAFKA_WORK_PAUSE_MS", "10"),
    ("KAFKA_WORK_PAUSE_MAX_MS", "50"),
    ("PROVIDER_TIMEOUT_MS", "500"),
    ("PAYMENT_ATTEMPTS", "3"),
    ("PAYMENT_PATIENCE_MS", "800"),
    ("BACKOFF_BASE_MS", "10"),
    ("BACKOFF_CAP_MS", "50"),
    ("BREAKER_OPEN_MS", "50"),
    ("SLOW_START_MS", "1"),
    ("CA_RELOAD_MS", "20"),
    ("RETRY_BUDGET_MIN_PER_S", "100"),
    ("JITTER_SEED", "1"),
];

/// The running pieces.
pub(crate) struct Pipeline {
    pub(crate) broker: Broker,
    payments: TestDatabase,
    provider: Service,
    control: String,
    service: Service,
    client: Client,
    _ledger: TestDatabase,
    files: tempfile::TempDir,
}

/// Starts everything, without some defences.
pub(crate) async fn start(defences_off: &str) -> Pipeline {
    start_trusting(Trusted::Provider, defences_off).await
}

/// Whose certificate the payment service trusts at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trusted {
    Provider,
    SomebodyElse,
}

/// Starts everything, with a trust of one's choice.
pub(crate) async fn start_trusting(trusted: Trusted, defences_off: &str) -> Pipeline {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let files = tempfile::tempdir().expect("a folder");
    let path = |name: &str| files.path().join(name).to_string_lossy().into_owned();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let issued = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (certificate, key) = (path("cert.pem"), path("key.pem"));
    std::fs::write(&certificate, issued.cert.pem()).expect("written");
    let ca = path("ca.pem");
    let trusted = match trusted {
        Trusted::Provider => issued.cert.pem(),
        Trusted::SomebodyElse => {
            let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
            let other = rcgen::generate_simple_self_signed(names).expect("a certificate");
            other.cert.pem()
        }
    };
    std::fs::write(&ca, trusted).expect("written");
    std::fs::write(&key, issued.signing_key.serialize_pem()).expect("written");

    let ledger = service_testing::database(payment_provider::MIGRATIONS).await;
    let values = [
        ("LISTEN_PUBLIC", "127.0.0.1:0"),
        ("CERTIFICATE_FILE", &certificate),
        ("PRIVATE_KEY_FILE", &key),
        ("DATABASE_URL", &ledger.url),
    ];
    let served = OnceLock::new();
    let start = async |config, service| {
        let addresses = payment_provider::serve(config, &service).await?;
        served
            .set(addresses)
            .map_err(|_| anyhow::anyhow!("started twice"))
    };
    let provider = service_testing::start(
        "payment-provider",
        &values,
        payment_provider::Config::read,
        start,
    )
    .await;
    let addresses = served.get().expect("started");

    let broker = broker();
    let listener = broker
        .listen("payment-service", None)
        .await
        .expect("a listener");
    let payments = service_testing::database(payment_service::MIGRATIONS).await;
    let (brokers, url) = (
        listener.address().to_string(),
        format!("https://{}", addresses.public),
    );
    let mut values = vec![
        ("DATABASE_URL", payments.url.as_str()),
        ("KAFKA_BROKERS", &brokers),
        ("PROVIDER_URL", &url),
        ("CA_FILE", &ca),
        ("DEFENCES_OFF", defences_off),
    ];
    values.extend(QUICK);
    let read = payment_service::config::Config::read;
    let service =
        service_testing::start("payment-service", &values, read, payment_service::start).await;
    Pipeline {
        broker,
        payments,
        provider,
        control: format!("http://{}/control", addresses.http),
        service,
        client: Client::builder().no_proxy().build().expect("a client"),
        _ledger: ledger,
        files,
    }
}

fn broker() -> Broker {
    let config = BrokerConfig {
        initial_rebalance_delay: Duration::from_millis(10),
        ..BrokerConfig::default()
    };
    let broker = Broker::new(config);
    for name in [topic::PAYMENT_COMMANDS, topic::PAYMENT_RESULTS] {
        broker.create_topic(name, 2).expect("a topic");
        broker.create_topic(&topic::dead(name), 1).expect("a topic");
    }
    broker
}

impl Pipeline {
    /// Puts a charge command into the queue.
    pub(crate) fn ask_charge(&self, order_id: Uuid) {
        let (amount_minor, currency, customer_id) = (700, "EUR".to_owned(), "c-1".to_owned());
        self.ask(
            order_id,
            PaymentCommandKind::Charge {
                amount_minor,
                currency,
                customer_id,
            },
        );
    }

    /// Puts a refund command into the queue.
    pub(crate) fn ask_refund(&self, order_id: Uuid) {
        self.ask(
            order_id,
            PaymentCommandKind::Refund {
                amount_minor: 700,
                currency: "EUR".to_owned(),
            },
        );
    }

    fn ask(&self, order_id: Uuid, command: PaymentCommandKind) {
        let message = Envelope::once_per_order(order_id, OffsetDateTime::UNIX_EPOCH, command);
        let payload = contracts::message::write(&message)
            .expect("a message")
            .to_string();
        self.put(order_id, payload.as_bytes());
    }

    /// Puts a charge command into the queue in which some fields are written differently.
    pub(crate) fn ask_changed_charge(&self, order_id: Uuid, changes: &[(&str, Value)]) {
        let command = PaymentCommandKind::Charge {
            amount_minor: 700,
            currency: "EUR".to_owned(),
            customer_id: "c-1".to_owned(),
        };
        let message = Envelope::once_per_order(order_id, OffsetDateTime::UNIX_EPOCH, command);
        let mut message = contracts::message::write(&message).expect("a message");
        for (field, value) in changes {
            message[*field] = value.clone();
        }
        self.put(order_id, message.to_string().as_bytes());
    }

    /// Has the payment service trust the provider's certificate from now on, by the file that says so.
    pub(crate) fn trust_the_provider(&self) {
        let file = |name: &str| self.files.path().join(name);
        std::fs::copy(file("cert.pem"), file("new.pem")).expect("copied");
        std::fs::rename(file("new.pem"), file("ca.pem")).expect("replaced");
    }

    /// Waits until attempts had a result so often, as the service counts them.
    pub(crate) async fn wait_for_attempts(&self, result: &str, times: u64) {
        let series = format!("provider_calls_total{{kind=\"charge\",result=\"{result}\"}} ");
        let enough = async || {
            let text = self.service.metrics.text().expect("metrics");
            let line = text.lines().find_map(|line| line.strip_prefix(&series));
            line.is_some_and(|count| count.parse::<u64>().expect("a count") >= times)
        };
        service_testing::eventually("attempts are made", enough).await;
    }

    /// Why messages were parked, in the order in which they were.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let parked = self.records(&topic::dead(topic::PAYMENT_COMMANDS));
        let reason = |record: &Record| {
            let header = record
                .headers
                .iter()
                .find(|header| header.key == "dead-reason");
            let value = header.and_then(|header| header.value.clone());
            String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()
        };
        parked.iter().map(reason).collect()
    }

    /// Waits until so many messages were parked, and says why.
    pub(crate) async fn wait_for_parked(&self, count: usize) -> Vec<String> {
        let come = self
            .broker
            .wait_for(LIMIT, |_| self.reasons().len() >= count)
            .await;
        assert!(come, "{:?}", self.reasons());
        self.reasons()
    }

    /// Puts anything into the queue.
    pub(crate) fn put(&self, order_id: Uuid, payload: &[u8]) {
        let key = order_id.to_string();
        let appended = self.broker.append(
            topic::PAYMENT_COMMANDS,
            0,
            Some(key.as_bytes()),
            Some(payload),
            &[],
        );
        appended.expect("appended");
    }

    /// All records of a topic.
    pub(crate) fn records(&self, topic: &str) -> Vec<Record> {
        let partitions = self.broker.offsets(topic).expect("a topic");
        let of = |partition: i32| self.broker.records(topic, partition, 0).expect("records");
        partitions
            .iter()
            .flat_map(|place| of(place.partition))
            .collect()
    }

    /// The answers so far: id and content.
    pub(crate) fn results(&self) -> Vec<(Uuid, PaymentResultKind)> {
        let records = self.records(topic::PAYMENT_RESULTS);
        let message =
            |record: &Record| read(record.value.as_deref().unwrap_or_default()).expect("an answer");
        let pair = |message: Envelope<PaymentResultKind>| (message.message_id, message.body);
        records.iter().map(message).map(pair).collect()
    }

    /// Waits until so many answers are there.
    pub(crate) async fn wait_for_results(&self, count: usize) -> Vec<(Uuid, PaymentResultKind)> {
        let come = self
            .broker
            .wait_for(LIMIT, |_| self.results().len() >= count)
            .await;
        assert!(come, "{} of {count} answers", self.results().len());
        self.results()
    }

    /// Waits until every command is done and committed.
    pub(crate) async fn wait_for_commit(&self) {
        let done = self
            .broker
            .wait_for(LIMIT, |broker| broker.lag("payment-service") == 0)
            .await;
        assert!(done, "lag {}", self.lag());
    }

    /// Commands that are not committed yet.
    pub(crate) fn lag(&self) -> i64 {
        self.broker.lag("payment-service")
    }

    /// Sets a script of the provider.
    pub(crate) async fn script(&self, name: &str, script: Value) {
        let request = self
            .client
            .put(format!("{}/scripts/{name}", self.control))
            .json(&script);
        assert!(
            request
                .send()
                .await
                .expect("an answer")
                .status()
                .is_success()
        );
    }

    /// Takes a script away and tells how often it acted.
    pub(crate) async fn unscript(&self, name: &str) -> u64 {
        let request = self
            .client
            .delete(format!("{}/scripts/{name}", self.control));
        let report: Value = request
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        report["acted"].as_u64().expect("a number")
    }

    /// How often a script has acted.
    pub(crate) async fn acted(&self, name: &str) -> u64 {
        self.control("scripts").await[name]["acted"]
            .as_u64()
            .expect("a number")
    }

    /// Waits until a script has acted so often.
    pub(crate) async fn wait_until_acted(&self, name: &str, times: u64) {
        service_testing::eventually("the script acts", async || self.acted(name).await >= times)
            .await;
    }

    /// The provider's ledger.
    pub(crate) async fn ledger(&self) -> Value {
        self.control("ledger").await
    }

    /// How many charges the provider booked for an order.
    pub(crate) async fn charges_of(&self, order_id: Uuid) -> usize {
        let ledger = self.ledger().await;
        let of_order = |charge: &&Value| charge["reference"] == order_id.to_string();
        ledger["charges"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(of_order)
            .count()
    }

    /// State of a payment's row.
    pub(crate) async fn state(&self, order_id: Uuid, kind: &str) -> Option<String> {
        sqlx::query_scalar("select state from payments where order_id = $1 and kind = $2")
            .bind(order_id)
            .bind(kind)
            .fetch_optional(&self.payments.pool)
            .await
            .expect("the database answers")
    }

    async fn control(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}/{path}", self.control));
        request
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON")
    }

    /// Shuts the services down; they must end within their grace.
    pub(crate) async fn end(self) {
        service_testing::stop(&self.service).await;
        service_testing::stop(&self.provider).await;
    }
}
