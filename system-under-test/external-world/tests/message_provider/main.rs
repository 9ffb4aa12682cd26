//! The message provider over its real interfaces, on a real PostgreSQL.

#[path = "../support/mod.rs"]
mod support;

use std::sync::OnceLock;
use std::time::Duration;

use external_world::Addresses;
use external_world::message_provider::{self, AFTER_BOOKING, Config, MIGRATIONS};
use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::service::Service;
use service_testing::TestDatabase;
use support::{Trust, free_ports};

struct Provider {
    addresses: Addresses,
    trust: Trust,
    service: Service,
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
        let addresses = message_provider::serve(config, &service).await?;
        served
            .set(addresses)
            .map_err(|_| anyhow::anyhow!("started twice"))
    };
    let service = service_testing::start("message-provider", &values, Config::read, start).await;
    let addresses = *served.get().expect("started");
    Provider {
        addresses,
        trust,
        service,
        database,
    }
}

fn email(order: &str) -> Value {
    json!({
        "channel": "email", "recipient": "c-1@shop.example", "template": "v1/paid",
        "subject": "Thank you", "body": "It is paid.", "reference": order, "kind": "paid",
    })
}

fn sms(order: &str) -> Value {
    json!({
        "channel": "sms", "recipient": "+4915550000001", "template": "v1/paid",
        "body": "It is paid.", "reference": order, "kind": "paid",
    })
}

impl Provider {
    async fn post(&self, key: Option<&str>, body: Value) -> (StatusCode, Value) {
        let url = format!("https://{}/messages", self.addresses.public);
        let mut request = self.trust.client.post(url).json(&body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let response = request.send().await.expect("an answer");
        (response.status(), response.json().await.expect("JSON"))
    }

    async fn script(&self, name: &str, script: Value) {
        let base = format!("http://{}", self.addresses.http);
        self.trust.script(&base, name, script).await;
    }

    async fn mailbox(&self) -> Value {
        let base = format!("http://{}", self.addresses.http);
        self.trust.control(&base, "mailbox").await
    }

    async fn delivered(&self) -> usize {
        self.mailbox().await["messages"]
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
async fn the_same_key_delivers_once_however_many_come_at_once() {
    let provider = provider(&[]).await;
    let answers =
        join_all((0..20).map(|_| provider.post(Some("o-1:paid:email"), email("o-1")))).await;
    let with = |status| answers.iter().filter(|(had, _)| *had == status).count();
    assert_eq!(
        (with(StatusCode::CREATED), with(StatusCode::OK)),
        (1, 19),
        "{answers:?}"
    );
    let first = &answers[0].1["message_id"];
    assert!(answers.iter().all(|(_, body)| body["message_id"] == *first));
    let mailbox = provider.mailbox().await;
    let message = &mailbox["messages"][0];
    assert_eq!(message["message_id"], *first);
    assert_eq!(message["idempotency_key"], "o-1:paid:email");
    assert_eq!(message["recipient"], "c-1@shop.example");
    assert!(message["at"].as_str().is_some_and(|at| at.ends_with('Z')));
    let requests = json!([{
        "reference": "o-1", "kind": "paid", "channel": "email", "attempts": 20,
    }]);
    assert_eq!(mailbox["requests"], requests);
}

#[tokio::test]
async fn without_a_key_every_request_delivers() {
    let provider = provider(&[]).await;
    for _ in 0..3 {
        assert_eq!(provider.post(None, sms("o-1")).await.0, StatusCode::CREATED);
    }
    assert_eq!(provider.delivered().await, 3);
}

#[tokio::test]
async fn a_key_means_one_message_only() {
    let provider = provider(&[]).await;
    let created = provider.post(Some("k"), email("o-1")).await;
    assert_eq!(created.0, StatusCode::CREATED);
    let other = provider.post(Some("k"), email("o-2")).await;
    assert_eq!(other.0, StatusCode::CONFLICT);
    assert_eq!(provider.delivered().await, 1);
}

#[tokio::test]
async fn a_key_that_is_forgotten_delivers_again() {
    let provider = provider(&[("KEY_MEMORY_MS", "0")]).await;
    for _ in 0..2 {
        let posted = provider.post(Some("k"), email("o-1")).await;
        assert_eq!(posted.0, StatusCode::CREATED);
    }
    assert_eq!(provider.delivered().await, 2);
}

#[tokio::test]
async fn scripts_fail_before_or_after_delivering_and_can_mean_one_channel() {
    let provider = provider(&[]).await;
    let after = json!({ "behaviour": "fail_after_booking", "status": 503, "times": 1 });
    provider.script("after", after).await;
    let failed = provider.post(Some("k-1"), email("o-1")).await;
    assert_eq!(failed.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(provider.delivered().await, 1);
    let before = json!({ "behaviour": "fail_before_booking", "times": 1, "kind": "sms" });
    provider.script("before", before).await;
    let again = provider.post(Some("k-1"), email("o-1")).await;
    assert_eq!(again.0, StatusCode::OK);
    let failed = provider.post(Some("k-2"), sms("o-1")).await;
    assert_eq!(failed.0, StatusCode::INTERNAL_SERVER_ERROR);
    let disguise = json!({ "behaviour": "error_body", "times": 1 });
    provider.script("disguise", disguise).await;
    let (status, body) = provider.post(Some("k-2"), sms("o-1")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body["error"]["code"].is_string());
    let refuse = json!({ "behaviour": "decline", "times": 1 });
    provider.script("refuse", refuse).await;
    let refused = provider.post(Some("k-2"), sms("o-1")).await;
    assert_eq!(refused.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(provider.delivered().await, 1);
}

#[tokio::test]
async fn what_was_begun_is_delivered_although_the_client_hung_up() {
    let provider = provider(&[]).await;
    let slow = json!({ "behaviour": "slow", "delay_ms": 150, "times": 1 });
    provider.script("slow", slow).await;
    let url = format!("https://{}/messages", provider.addresses.public);
    let request = provider.trust.client.post(url).json(&email("o-1"));
    let lost = request.timeout(Duration::from_millis(50)).send().await;
    assert!(lost.is_err_and(|error| error.is_timeout()));
    service_testing::eventually("it is delivered", async || provider.delivered().await == 1).await;
}

#[tokio::test]
async fn its_own_limit_says_when_to_come_back() {
    let provider = provider(&[("RATE_LIMIT_PER_S", "5")]).await;
    let url = format!("https://{}/messages", provider.addresses.public);
    let posts = (0..20).map(|_| provider.trust.client.post(&url).json(&email("o-1")).send());
    let answers = join_all(posts).await;
    let limited: Vec<_> = answers
        .iter()
        .flatten()
        .filter(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS)
        .collect();
    assert!((1..=15).contains(&limited.len()), "{} of 20", limited.len());
    assert!(
        limited
            .iter()
            .all(|answer| answer.headers()["retry-after"] == "1")
    );
    assert_eq!(provider.delivered().await, 20 - limited.len());
    assert_eq!(provider.mailbox().await["requests"][0]["attempts"], 20);
}

#[tokio::test]
async fn what_was_delivered_survives_a_kill_between_delivery_and_answer() {
    let provider = provider(&[]).await;
    let (trust, url) = (&provider.trust, &provider.database.url);
    let ports = free_ports();
    let mut killed = trust.run_program("message-provider", url, ports).await;
    trust.kill_at(ports[0], AFTER_BOOKING).await;
    let url = format!("https://127.0.0.1:{}/messages", ports[1]);
    let post = trust.client.post(url).json(&email("o-1"));
    let lost = post.header("Idempotency-Key", "k-1").send().await;
    assert!(lost.is_err());
    assert!(!killed.wait().await.expect("it ended").success());
    assert_eq!(provider.delivered().await, 1);
    assert_eq!(
        provider.post(Some("k-1"), email("o-1")).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn nonsense_is_refused_and_not_counted() {
    let provider = provider(&[]).await;
    let mut nobody = email("o-1");
    nobody["recipient"] = json!("c-1");
    for body in [nobody, json!([1, 2, 3])] {
        assert_eq!(provider.post(None, body).await.0, StatusCode::BAD_REQUEST);
    }
    assert_eq!(provider.mailbox().await["requests"], json!([]));
}
