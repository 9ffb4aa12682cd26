//! Who is let in, and what happens when the identity provider changes its keys or goes away.

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use service_kit::token::part;

use crate::gateway::{Files, Gateway, code, status};
use crate::instance::{Instance, Mood};
use crate::issuer::{Issuer, claims, new_key};

async fn send(gateway: &Gateway, token: &str) -> Response {
    gateway
        .post_with_token(token)
        .send()
        .await
        .expect("an answer")
}

#[tokio::test]
async fn a_good_token_passes_and_says_who_asks() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[]).await;
    let request = gateway.post_as("c-7").header("x-customer-id", "c-8");
    assert_eq!(status(request).await, StatusCode::CREATED);
    let seen = instance.seen();
    assert_eq!(seen[0].header("x-customer-id"), Some("c-7"));
    assert_eq!(
        seen[0].header("authorization"),
        None,
        "it stays at the edge"
    );
}

#[tokio::test]
async fn bad_tokens_never_pass_and_are_told_why() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[]).await;
    let with = |name: &str, value: serde_json::Value| {
        let mut changed = claims("c-1");
        changed[name] = value;
        gateway.issuer.sign(&changed)
    };
    let header = part(&json!({ "alg": "none", "typ": "JWT" })).expect("JSON");
    let unsigned = format!("{header}.{}.", part(&claims("c-1")).expect("JSON"));
    let forged = |kid: &str| new_key(kid).sign(&claims("c-1")).expect("signed");
    for (token, reason) in [
        (with("exp", json!(1_000)), "token_expired"),
        (with("aud", json!("somebody-else")), "token_audience"),
        (with("iss", json!("somebody-else")), "token_issuer"),
        (with("sub", json!("")), "token_subject"),
        (forged("k-1"), "token_signature"),
        (forged("k-9"), "token_unknown_key"),
        (unsigned, "token_algorithm"),
        ("nonsense".to_owned(), "token_malformed"),
    ] {
        let response = send(&gateway, &token).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{reason}");
        let challenge = response.headers()["www-authenticate"].to_str();
        assert!(challenge.expect("text").contains("invalid_token"));
        assert_eq!(code(response).await, reason);
    }
    let bare = gateway.ask(Method::POST, "/orders").body("{}");
    let response = bare.send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(code(response).await, "token_missing");
    assert!(instance.seen().is_empty(), "nothing was passed on");
}

#[tokio::test]
async fn looking_around_needs_no_token_and_orders_do() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[]).await;
    for (path, expected) in [
        ("/products", StatusCode::CREATED),
        ("/stock", StatusCode::CREATED),
        ("/orders/o-1", StatusCode::UNAUTHORIZED),
    ] {
        let request = gateway.ask(Method::GET, path);
        assert_eq!(status(request).await, expected, "{path}");
    }
}

#[tokio::test]
async fn without_verification_anybody_passes_and_nobody_is_named() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [("DEFENCES_OFF", "gateway.jwt-verification")];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    let request = gateway
        .post_with_token("nonsense")
        .header("x-customer-id", "c-8");
    assert_eq!(status(request).await, StatusCode::CREATED);
    assert_eq!(instance.seen()[0].header("x-customer-id"), None);
}

#[tokio::test]
async fn whoever_guesses_is_limited_and_customers_are_counted_by_name() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [("CLIENT_RATE_PER_S", "1"), ("CLIENT_BURST", "2")];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    let mut refused = Vec::new();
    for _ in 0..4 {
        refused.push(send(&gateway, "nonsense").await.status());
    }
    assert_eq!(refused[0], StatusCode::UNAUTHORIZED);
    assert!(
        refused.contains(&StatusCode::TOO_MANY_REQUESTS),
        "{refused:?}"
    );
    // The same address, but a verified customer.
    assert_eq!(status(gateway.post_as("c-2")).await, StatusCode::CREATED);
}

#[tokio::test]
async fn a_rotated_key_is_fetched_once_for_all_who_need_it() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[]).await;
    let before = gateway.issuer.fetches();
    let old = gateway.issuer.token("c-1");
    gateway.issuer.rotate("k-2", true);
    let new = gateway.issuer.token("c-2");
    let asking = (0..20).map(|_| send(&gateway, &new));
    for response in futures::future::join_all(asking).await {
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    assert_eq!(gateway.issuer.fetches() - before, 1);
    assert_eq!(send(&gateway, &old).await.status(), StatusCode::CREATED);
    gateway.issuer.rotate("k-3", false);
    let newest = gateway.issuer.token("c-3");
    assert_eq!(send(&gateway, &newest).await.status(), StatusCode::CREATED);
    let gone = send(&gateway, &old).await;
    assert_eq!(gone.status(), StatusCode::UNAUTHORIZED, "its key is gone");
}

#[tokio::test]
async fn unknown_keys_do_not_make_the_gateway_a_burden() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [("KEYS_PAUSE_MS", "400"), ("CLIENT_BURST", "1000")];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    let before = gateway.issuer.fetches();
    let begun = std::time::Instant::now();
    let forged: Vec<_> = (0..30)
        .map(|n| {
            new_key(&format!("forged-{n}"))
                .sign(&claims("c-1"))
                .expect("signed")
        })
        .collect();
    let asking = forged.iter().map(|token| send(&gateway, token));
    for response in futures::future::join_all(asking).await {
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    let pauses = usize::try_from(begun.elapsed().as_millis() / 400).expect("a few");
    let fetches = gateway.issuer.fetches() - before;
    assert!(fetches <= pauses + 1, "{fetches} in {pauses} pauses");
}

#[tokio::test]
async fn without_refreshing_a_new_key_is_never_known() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [("DEFENCES_OFF", "gateway.jwks-refresh")];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    assert_eq!(status(gateway.post()).await, StatusCode::CREATED);
    gateway.issuer.rotate("k-2", true);
    let refused = gateway.post().send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(code(refused).await, "token_unknown_key");
    assert_eq!(gateway.issuer.fetches(), 1);
}

#[tokio::test]
async fn known_keys_stay_good_while_the_provider_is_away() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[]).await;
    gateway.issuer.set_well(false);
    let forged = new_key("k-9").sign(&claims("c-1")).expect("signed");
    let nobody_knows = send(&gateway, &forged).await;
    assert_eq!(nobody_knows.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(code(nobody_knows).await, "keys_unavailable");
    assert_eq!(status(gateway.post()).await, StatusCode::CREATED);
    assert!(gateway.service.health.readiness().await.ready);
}

#[tokio::test]
async fn a_gateway_that_never_had_keys_lets_nobody_in_and_says_why() {
    let instance = Instance::start(Mood::Well).await;
    let files = Files::new();
    let issuer = Issuer::start(&files).await;
    issuer.set_well(false);
    let gateway = Gateway::start_with(files, issuer, &[instance.address], &[]).await;
    let refused = gateway.post().send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(code(refused).await, "keys_unavailable");
    let readiness = gateway.service.health.readiness().await;
    assert!(!readiness.ready);
    assert!(
        readiness
            .reasons
            .iter()
            .any(|reason| reason.starts_with("keys: ")),
        "{readiness:?}"
    );
    assert!(instance.seen().is_empty());
    gateway.issuer.set_well(true);
    service_testing::eventually("the gateway is ready", async || {
        gateway.service.health.readiness().await.ready
    })
    .await;
    assert_eq!(status(gateway.post()).await, StatusCode::CREATED);
}
