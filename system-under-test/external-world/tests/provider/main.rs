//! The payment provider over its real interfaces, on a real PostgreSQL.

#[path = "../support/mod.rs"]
mod support;

use std::sync::OnceLock;
use std::time::Duration;

use external_world::Addresses;
use external_world::payment_provider::{self, Config, MIGRATIONS};
use futures::future::join_all;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use service_kit::service::Service;
use service_testing::TestDatabase;
use support::{Trust, free_ports};

struct Provider {
    addresses: Addresses,
    client: Client,
    service: Service,
    trust: Trust,
    database: TestDatabase,
}

async fn provider(more: &[(&str, &str)]) -> Provider {
    let trust = Trust::new();
    let database = service_testing::database(MIGRATIONS).await;
    let (certificate, key) = (trust.path("cert.pem"), trust.path("key.pem"));
    let mut values = vec![
        ("LISTEN_PUBLIC", "127.0.0.1:0"),
        ("CERTIFICATE_FILE", &certificate),
        ("PRIVATE_KEY_FILE", &key),
        ("DATABASE_URL", &database.url),
    ];
    values.extend(more);
    let served = OnceLock::new();
    let start = async |config, service| {
        let addresses = payment_provider::serve(config, &service).await?;
        served
            .set(addresses)
            .map_err(|_| anyhow::anyhow!("started twice"))
    };
    let service = service_testing::start("payment-provider", &values, Config::read, start).await;
    Provider {
        addresses: *served.get().expect("started"),
        client: trust.client.clone(),
        service,
        trust,
        database,
    }
}

impl Provider {
    async fn post(&self, path: &str, key: Option<&str>, body: Value) -> (StatusCode, Value) {
        let mut request = self
            .client
            .post(format!("https://{}{path}", self.addresses.public))
            .json(&body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let response = request.send().await.expect("an answer");
        (response.status(), response.json().await.expect("JSON"))
    }

    async fn charge(
        &self,
        reference: &str,
        key: Option<&str>,
        amount_minor: i64,
    ) -> (StatusCode, Value) {
        let body =
            json!({ "reference": reference, "amount_minor": amount_minor, "currency": "EUR" });
        self.post("/charges", key, body).await
    }

    async fn refund(
        &self,
        charge: &Value,
        key: Option<&str>,
        amount_minor: i64,
    ) -> (StatusCode, Value) {
        let body = json!({ "charge_id": charge["charge_id"], "amount_minor": amount_minor });
        self.post("/refunds", key, body).await
    }

    async fn find(&self, what: &str, key: &str) -> Value {
        let url = format!(
            "https://{}/{what}?idempotency_key={key}",
            self.addresses.public
        );
        let found: Value = self
            .client
            .get(url)
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        found[what].clone()
    }

    async fn script(&self, name: &str, script: Value) {
        let base = format!("http://{}", self.addresses.http);
        self.trust.script(&base, name, script).await;
    }

    async fn control(&self, path: &str) -> Value {
        let base = format!("http://{}", self.addresses.http);
        self.trust.control(&base, path).await
    }

    async fn charges(&self) -> usize {
        self.control("ledger").await["charges"]
            .as_array()
            .map_or(0, Vec::len)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.service.shutdown.begin();
    }
}

#[tokio::test]
async fn the_same_key_books_once_however_many_come_at_once() {
    let provider = provider(&[]).await;
    let answers = join_all((0..24).map(|_| provider.charge("o-1", Some("o-1:charge"), 700))).await;
    let created = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::CREATED)
        .count();
    let repeated = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::OK)
        .count();
    assert_eq!((created, repeated), (1, 23), "{answers:?}");
    assert!(
        answers
            .iter()
            .all(|(_, body)| body["charge_id"] == answers[0].1["charge_id"])
    );
    let ledger = provider.control("ledger").await;
    assert_eq!(ledger["charges"].as_array().map(Vec::len), Some(1));
    let requests =
        json!([{ "reference": "o-1", "kind": "charge", "attempts": 24, "keys": ["o-1:charge"] }]);
    assert_eq!(ledger["requests"], requests);
    let found = provider.find("charges", "o-1:charge").await;
    assert_eq!(found[0]["charge_id"], answers[0].1["charge_id"]);
    assert_eq!(provider.find("charges", "o-2:charge").await, json!([]));
}

#[tokio::test]
async fn without_a_key_every_request_books() {
    let provider = provider(&[]).await;
    for _ in 0..3 {
        assert_eq!(
            provider.charge("o-1", None, 700).await.0,
            StatusCode::CREATED
        );
    }
    assert_eq!(provider.charges().await, 3);
}

#[tokio::test]
async fn a_key_means_one_request_only() {
    let provider = provider(&[]).await;
    assert_eq!(
        provider.charge("o-1", Some("k"), 700).await.0,
        StatusCode::CREATED
    );
    assert_eq!(
        provider.charge("o-1", Some("k"), 701).await.0,
        StatusCode::CONFLICT
    );
    assert_eq!(
        provider.charge("o-2", Some("k"), 700).await.0,
        StatusCode::CONFLICT
    );
    assert_eq!(provider.charges().await, 1);
}

#[tokio::test]
async fn refunds_never_exceed_the_charge_even_at_the_same_time() {
    let provider = provider(&[]).await;
    let (_, charge) = provider.charge("o-1", Some("o-1:charge"), 100).await;
    let keys: Vec<_> = (0..10).map(|n| format!("r-{n}")).collect();
    let answers = join_all(
        keys.iter()
            .map(|key| provider.refund(&charge, Some(key), 30)),
    )
    .await;
    let booked = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::CREATED)
        .count();
    assert_eq!(booked, 3, "{answers:?}");
    let refused = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::UNPROCESSABLE_ENTITY)
        .count();
    assert_eq!(refused, 7);
    let first = answers
        .iter()
        .position(|(status, _)| *status == StatusCode::CREATED)
        .expect("one");
    assert_eq!(
        provider.refund(&charge, Some(&keys[first]), 30).await.0,
        StatusCode::OK
    );
    let unknown = json!({ "charge_id": "00000000-0000-0000-0000-000000000001" });
    assert_eq!(
        provider.refund(&unknown, None, 1).await.0,
        StatusCode::NOT_FOUND
    );
    let ledger = provider.control("ledger").await;
    assert_eq!(ledger["refunds"].as_array().map(Vec::len), Some(3));
    assert!(ledger["refunds"][0]["reference"] == "o-1");
}

#[tokio::test]
async fn scripts_fail_before_or_after_booking_and_count() {
    let provider = provider(&[]).await;
    provider
        .script(
            "after",
            json!({ "behaviour": "fail_after_booking", "status": 503, "times": 1 }),
        )
        .await;
    assert_eq!(
        provider.charge("o-1", Some("k-1"), 700).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(provider.charges().await, 1);
    assert_eq!(
        provider.charge("o-1", Some("k-1"), 700).await.0,
        StatusCode::OK
    );
    provider
        .script(
            "before",
            json!({ "behaviour": "fail_before_booking", "times": 1 }),
        )
        .await;
    assert_eq!(
        provider.charge("o-2", Some("k-2"), 700).await.0,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    provider
        .script("disguise", json!({ "behaviour": "error_body", "times": 1 }))
        .await;
    let (status, body) = provider.charge("o-2", Some("k-2"), 700).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body["error"]["code"].is_string());
    assert_eq!(provider.charges().await, 1);
    assert_eq!(provider.control("scripts").await["after"]["acted"], 1);
}

#[tokio::test]
async fn a_decline_is_final_for_its_key() {
    let provider = provider(&[]).await;
    provider
        .script(
            "decline",
            json!({ "behaviour": "decline", "times": 1, "kind": "charge" }),
        )
        .await;
    let declined = (
        StatusCode::PAYMENT_REQUIRED,
        json!({ "status": "declined" }),
    );
    assert_eq!(provider.charge("o-1", Some("k-1"), 700).await, declined);
    assert_eq!(provider.charge("o-1", Some("k-1"), 700).await, declined);
    assert_eq!(
        provider.charge("o-1", Some("k-2"), 700).await.0,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn what_was_begun_is_booked_although_the_client_hung_up() {
    let provider = provider(&[]).await;
    provider
        .script(
            "slow",
            json!({ "behaviour": "slow", "delay_ms": 150, "times": 1 }),
        )
        .await;
    let body = json!({ "reference": "o-1", "amount_minor": 700, "currency": "EUR" });
    let request = provider
        .client
        .post(format!("https://{}/charges", provider.addresses.public))
        .json(&body);
    let lost = request.timeout(Duration::from_millis(50)).send().await;
    assert!(lost.is_err_and(|error| error.is_timeout()));
    service_testing::eventually("it is booked", async || provider.charges().await == 1).await;
}

#[tokio::test]
async fn its_own_limit_says_when_to_come_back() {
    let provider = provider(&[("RATE_LIMIT_PER_S", "5")]).await;
    let keys: Vec<_> = (0..20).map(|n| format!("k-{n}")).collect();
    let answers = join_all(keys.iter().map(|key| provider.charge("o", Some(key), 700))).await;
    let limited = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::TOO_MANY_REQUESTS)
        .count();
    assert!((1..=15).contains(&limited), "{limited} of 20");
    assert_eq!(provider.charges().await, 20 - limited);
    let requests = provider.control("ledger").await["requests"][0]["attempts"].clone();
    assert_eq!(requests, 20);
}

#[tokio::test]
async fn what_was_booked_survives_a_kill_between_booking_and_answer() {
    let provider = provider(&[]).await;
    let (trust, database) = (&provider.trust, &provider.database.url);
    let ports = free_ports();
    let mut killed = trust.run_program("payment-provider", database, ports).await;
    trust
        .kill_at(ports[0], payment_provider::AFTER_BOOKING)
        .await;
    let body = json!({ "reference": "o-1", "amount_minor": 700, "currency": "EUR" });
    let charge = provider
        .client
        .post(format!("https://127.0.0.1:{}/charges", ports[1]))
        .json(&body);
    assert!(
        charge
            .header("Idempotency-Key", "k-1")
            .send()
            .await
            .is_err()
    );
    assert!(!killed.wait().await.expect("it ended").success());
    let _restarted = trust
        .run_program("payment-provider", database, free_ports())
        .await;
    let found = provider.find("charges", "k-1").await;
    assert_eq!(found[0]["reference"], "o-1");
    assert_eq!(
        provider.charge("o-1", Some("k-1"), 700).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn nonsense_is_refused_and_not_counted() {
    let provider = provider(&[]).await;
    let refused = [
        json!({ "reference": "", "amount_minor": 1, "currency": "EUR" }),
        json!({ "reference": "o", "amount_minor": -1, "currency": "EUR" }),
        json!({ "reference": "o", "amount_minor": 1, "currency": "euro" }),
        json!({ "reference": "o", "amount_minor": 1, "currency": "EUR", "note": "x" }),
        json!([1, 2, 3]),
    ];
    for body in refused {
        assert_eq!(
            provider.post("/charges", None, body).await.0,
            StatusCode::BAD_REQUEST
        );
    }
    assert_eq!(provider.control("ledger").await["requests"], json!([]));
}
