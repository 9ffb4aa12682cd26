//! The identity provider over its real interfaces, on a real PostgreSQL.

#[path = "../support/mod.rs"]
mod support;

use std::sync::OnceLock;
use std::time::Duration;

use external_world::Addresses;
use external_world::identity_provider::{self, Config, MIGRATIONS};
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::service::Service;
use service_kit::token::{KeySet, TokenError, Unverified, VerifyingKey};
use service_testing::TestDatabase;
use support::Trust;

struct Provider {
    addresses: Addresses,
    trust: Trust,
    service: Service,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.service.shutdown.begin();
    }
}

async fn provider(database: &TestDatabase) -> Provider {
    let trust = Trust::new();
    let (certificate, key) = (trust.path("cert.pem"), trust.path("key.pem"));
    let values = [
        ("LISTEN_PUBLIC", "127.0.0.1:0"),
        ("CERTIFICATE_FILE", certificate.as_str()),
        ("PRIVATE_KEY_FILE", key.as_str()),
        ("DATABASE_URL", database.url.as_str()),
        ("TOKEN_ISSUER", "https://identity.example"),
        ("TOKEN_AUDIENCE", "https://api.example"),
        ("TOKEN_LIFETIME_S", "60"),
        ("KEYS_MAX_AGE_S", "5"),
        ("PASSWORD_HASH_ROUNDS", "10"),
        ("ALLOWED_ORIGINS", "https://shop.example"),
    ];
    let served = OnceLock::new();
    let start = async |config, service| {
        let addresses = identity_provider::serve(config, &service).await?;
        served
            .set(addresses)
            .map_err(|_| anyhow::anyhow!("started twice"))
    };
    let service = service_testing::start("identity-provider", &values, Config::read, start).await;
    Provider {
        addresses: *served.get().expect("started"),
        trust,
        service,
    }
}

impl Provider {
    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.addresses.public)
    }

    async fn ask_token(&self, customer: &str, password: &str) -> (StatusCode, Value) {
        let body = json!({ "customer_id": customer, "password": password });
        let request = self.trust.client.post(self.url("/token")).json(&body);
        let response = request.send().await.expect("an answer");
        (response.status(), response.json().await.expect("JSON"))
    }

    async fn token(&self, customer: &str) -> String {
        let (status, body) = self.ask_token(customer, "secret").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["access_token"].as_str().expect("a token").to_owned()
    }

    async fn keys(&self) -> KeySet {
        let request = self.trust.client.get(self.url("/.well-known/jwks.json"));
        let response = request.send().await.expect("an answer");
        assert_eq!(response.headers()["cache-control"], "public, max-age=5");
        response.json().await.expect("a key set")
    }

    /// The claims of a token, if a published key has signed it.
    async fn believed(&self, token: &str) -> Option<Result<Value, TokenError>> {
        let unverified = Unverified::read(token).expect("a token");
        let keys = self.keys().await.keys;
        let jwk = keys
            .iter()
            .find(|jwk| Some(jwk.kid.as_str()) == unverified.kid())?;
        let key = VerifyingKey::from_jwk(jwk).expect("a key for ES256");
        Some(unverified.verify(&key))
    }

    async fn control(&self, path: &str, body: Value) -> Value {
        let url = format!("http://{}/control/{path}", self.addresses.http);
        let request = self.trust.client.post(url).json(&body);
        let response = request.send().await.expect("an answer");
        assert!(response.status().is_success(), "{}", response.status());
        response.json().await.expect("JSON")
    }
}

#[tokio::test]
async fn a_customer_with_the_password_gets_a_token_that_says_what_it_must() {
    let database = service_testing::database(MIGRATIONS).await;
    let provider = provider(&database).await;
    let token = provider.token("c-1").await;
    let claims = provider
        .believed(&token)
        .await
        .expect("a published key")
        .expect("believed");
    assert_eq!(claims["iss"], "https://identity.example");
    assert_eq!(claims["aud"], "https://api.example");
    assert_eq!(claims["sub"], "c-1");
    let times = |name: &str| claims[name].as_u64().expect("a time");
    assert_eq!(times("exp") - times("iat"), 60);
    let (status, body) = provider.ask_token("c-1", "guessed").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["error"]["code"], "invalid_credentials");
    let (status, _) = provider.ask_token("", "secret").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_it_offers_is_described_where_it_is_reached() {
    let database = service_testing::database(MIGRATIONS).await;
    let provider = provider(&database).await;
    let url = provider.url("/.well-known/openid-configuration");
    let page = provider
        .trust
        .client
        .get(url)
        .header("origin", "https://shop.example");
    let response = page.send().await.expect("an answer");
    assert_eq!(
        response.headers()["access-control-allow-origin"],
        "https://shop.example"
    );
    let described: Value = response.json().await.expect("JSON");
    assert_eq!(described["issuer"], "https://identity.example");
    assert_eq!(
        described["jwks_uri"],
        provider.url("/.well-known/jwks.json").as_str()
    );
}

#[tokio::test]
async fn a_rotated_key_signs_at_once_and_the_old_one_leaves_when_it_was_told_to() {
    let database = service_testing::database(MIGRATIONS).await;
    let provider = provider(&database).await;
    let old = provider.token("c-1").await;
    let kept = json!({ "keep_old_s": 60 });
    let rotated = provider.control("keys/rotate", kept).await;
    let new = provider.token("c-1").await;
    assert_eq!(
        Unverified::read(&new).expect("a token").kid(),
        rotated["kid"].as_str()
    );
    assert_eq!(provider.keys().await.keys.len(), 2);
    for token in [&old, &new] {
        assert!(
            provider
                .believed(token)
                .await
                .is_some_and(|claims| claims.is_ok())
        );
    }
    let gone = json!({ "keep_old_s": 0 });
    provider.control("keys/rotate", gone).await;
    assert!(provider.believed(&new).await.is_none(), "its key is gone");
    assert!(provider.believed(&old).await.is_some(), "its key stays");
    let base = format!("http://{}", provider.addresses.http);
    let keys = provider.trust.control(&base, "keys").await;
    let issued: Vec<_> = keys
        .as_array()
        .expect("a list")
        .iter()
        .map(|key| &key["tokens_issued"])
        .collect();
    assert_eq!(issued, [1, 1, 0]);
}

#[tokio::test]
async fn customers_get_tokens_while_keys_rotate() {
    let database = service_testing::database(MIGRATIONS).await;
    let provider = provider(&database).await;
    provider.token("c-1").await;
    let rotating = async {
        for _ in 0..20 {
            let kept = json!({ "keep_old_s": 60 });
            provider.control("keys/rotate", kept).await;
        }
    };
    let asking = (0..8).map(|_| async {
        for _ in 0..10 {
            provider.token("c-1").await;
        }
    });
    futures::future::join(rotating, futures::future::join_all(asking)).await;
}

#[tokio::test]
async fn keys_and_passwords_survive_a_restart() {
    let database = service_testing::database(MIGRATIONS).await;
    let first = provider(&database).await;
    let token = first.token("c-1").await;
    let keys = first.keys().await;
    service_testing::stop(&first.service).await;
    let second = provider(&database).await;
    assert_eq!(second.keys().await, keys);
    assert!(
        second
            .believed(&token)
            .await
            .is_some_and(|claims| claims.is_ok())
    );
    assert_eq!(
        second.ask_token("c-1", "guessed").await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn every_flaw_of_a_bad_token_is_a_real_one() {
    let database = service_testing::database(MIGRATIONS).await;
    let provider = provider(&database).await;
    let bad = async |flaw: &str| -> String {
        let wanted = json!({ "customer_id": "c-1", "flaw": flaw });
        let answer = provider.control("tokens", wanted).await;
        answer["access_token"].as_str().expect("a token").to_owned()
    };
    let signed = async |flaw: &str| -> Value {
        let claims = provider.believed(&bad(flaw).await).await;
        claims.expect("a published key").expect("believed")
    };
    let expired = signed("expired").await;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    assert!(expired["exp"].as_u64().expect("a time") < since.expect("after 1970").as_secs());
    assert_ne!(signed("wrong_audience").await["aud"], "https://api.example");
    assert_ne!(
        signed("wrong_issuer").await["iss"],
        "https://identity.example"
    );
    let forged = bad("wrong_signature").await;
    assert_eq!(
        provider.believed(&forged).await,
        Some(Err(TokenError::Signature))
    );
    let unknown = bad("unknown_kid").await;
    assert_eq!(provider.believed(&unknown).await, None);
    let unsigned = bad("alg_none").await;
    assert_eq!(Unverified::read(&unsigned), Err(TokenError::Algorithm));
    assert!(unsigned.ends_with('.'));
}

#[tokio::test]
async fn scripts_make_it_slow_or_fail_for_one_kind_of_request() {
    let database = service_testing::database(MIGRATIONS).await;
    let provider = provider(&database).await;
    let base = format!("http://{}", provider.addresses.http);
    let failing = json!({ "behaviour": "fail_before_booking", "status": 503, "kind": "keys" });
    provider.trust.script(&base, "keys-fail", failing).await;
    let slow = json!({ "behaviour": "slow", "delay_ms": 150, "kind": "token" });
    provider.trust.script(&base, "token-slow", slow).await;
    let keys = provider
        .trust
        .client
        .get(provider.url("/.well-known/jwks.json"));
    let answer = keys.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let begun = std::time::Instant::now();
    provider.token("c-1").await;
    assert!(begun.elapsed() >= Duration::from_millis(150));
}
