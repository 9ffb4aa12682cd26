//! Limits, deadlines, balancing and repetition.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::gateway::{Gateway, code, nobody, status};
use crate::instance::{Instance, Mood};

const CALM: (&str, &str) = ("EJECTION_FAILURES", "1000");

#[tokio::test]
async fn an_order_passes_with_its_key_its_trace_and_what_is_left_of_its_time() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[]).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = gateway
        .post_with_key("k-1")
        .header("traceparent", trace)
        .header("cookie", "secret=1");
    let response = request
        .header("X-Deadline-Ms", "700")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(response.headers().contains_key("x-request-id"));
    let seen = instance.seen();
    assert_eq!(seen[0].body, b"{}");
    assert_eq!(seen[0].header("idempotency-key"), Some("k-1"));
    assert!(
        seen[0]
            .header("traceparent")
            .is_some_and(|sent| sent.contains(&trace[3..35]))
    );
    let left: u64 = seen[0]
        .header("x-deadline-ms")
        .and_then(|left| left.parse().ok())
        .expect("a number");
    assert!((1..=700).contains(&left));
    assert_eq!(seen[0].header("cookie"), None);
}

#[tokio::test]
async fn a_body_up_to_the_limit_passes_and_a_larger_one_is_refused() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[("BODY_LIMIT_BYTES", "1000")]).await;
    assert_eq!(
        status(gateway.post().body("x".repeat(1000))).await,
        StatusCode::CREATED
    );
    let refused = gateway
        .post()
        .body("x".repeat(1001))
        .send()
        .await
        .expect("an answer");
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(code(refused).await, "body_too_large");
    assert_eq!(instance.seen().len(), 1);
}

#[tokio::test]
async fn a_chunked_body_without_a_length_is_refused_once_it_exceeds_the_limit() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[("BODY_LIMIT_BYTES", "1000")]).await;
    let mut connection = gateway.connect().await;
    let token = gateway.issuer.token("c-1");
    let head = format!(
        "POST /orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.expect("sent");
    for _ in 0..5 {
        let chunk = format!("12c\r\n{}\r\n", "x".repeat(300));
        connection.write_all(chunk.as_bytes()).await.expect("sent");
    }
    connection.write_all(b"0\r\n\r\n").await.expect("sent");
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert!(instance.seen().is_empty());
}

#[tokio::test]
async fn without_the_body_limit_everything_passes() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [
        ("BODY_LIMIT_BYTES", "1000"),
        ("DEFENCES_OFF", "gateway.body-limit"),
    ];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    assert_eq!(
        status(gateway.post().body("x".repeat(200_000))).await,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_greedy_client_waits_and_the_others_are_served() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [("CLIENT_RATE_PER_S", "1"), ("CLIENT_BURST", "3")];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    let ask = async |client: &str| gateway.post_as(client).send().await.expect("an answer");
    let mut served = 0;
    let refused = loop {
        let response = ask("greedy").await;
        if response.status() != StatusCode::CREATED {
            break response;
        }
        served += 1;
        assert!(served < 20, "never refused");
    };
    assert!(served >= 3, "{served}");
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(ask("modest").await.status(), StatusCode::CREATED);
    assert_eq!(instance.seen().len(), served + 1);
}

#[tokio::test]
async fn a_hanging_instance_costs_no_more_than_the_deadline() {
    let instance = Instance::start(Mood::Hanging).await;
    let gateway = Gateway::start(&[instance.address], &[CALM]).await;
    let begun = Instant::now();
    let response = gateway
        .post()
        .header("X-Deadline-Ms", "200")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(code(response).await, "upstream_timeout");
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_hanging_instance_does_not_use_up_the_time_for_another_one() {
    let hanging = Instance::start(Mood::Hanging).await;
    let well = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(
        &[hanging.address, well.address],
        &[CALM, ("UPSTREAM_ATTEMPT_MS", "150")],
    )
    .await;
    for key in 0..2 {
        assert_eq!(
            status(gateway.post_with_key(key)).await,
            StatusCode::CREATED
        );
    }
    assert_eq!(hanging.seen().len(), 1);
}

#[tokio::test]
async fn a_post_without_a_key_is_never_sent_twice() {
    let cutting = [
        Instance::start(Mood::Cutting).await,
        Instance::start(Mood::Cutting).await,
    ];
    let gateway = Gateway::start(&[cutting[0].address, cutting[1].address], &[CALM]).await;
    let response = gateway.post().send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(code(response).await, "upstream_failed");
    assert_eq!(cutting[0].seen().len() + cutting[1].seen().len(), 1);
    assert_eq!(
        status(gateway.post_with_key("k")).await,
        StatusCode::BAD_GATEWAY
    );
    assert_eq!(cutting[0].seen().len() + cutting[1].seen().len(), 3);
}

#[tokio::test]
async fn without_the_defence_a_post_without_a_key_is_sent_twice() {
    let cutting = Instance::start(Mood::Cutting).await;
    let well = Instance::start(Mood::Well).await;
    let settings = [CALM, ("DEFENCES_OFF", "gateway.retry-only-safe")];
    let gateway = Gateway::start(&[cutting.address, well.address], &settings).await;
    assert_eq!(status(gateway.post()).await, StatusCode::CREATED);
    assert_eq!((cutting.seen().len(), well.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_look_passes_with_what_its_customer_has_seen_also_when_it_is_sent_again() {
    let cutting = Instance::start(Mood::Cutting).await;
    let well = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[cutting.address, well.address], &[CALM]).await;
    let look = gateway
        .ask(Method::GET, "/orders/o-1?seen=3")
        .bearer_auth(gateway.issuer.token("c-1"))
        .header("X-Deadline-Ms", "5000");
    assert_eq!(status(look).await, StatusCode::CREATED);
    for instance in [&cutting, &well] {
        let seen = instance.seen();
        assert_eq!(seen.len(), 1);
        let asked = seen[0].head.lines().next();
        assert_eq!(asked, Some("get /orders/o-1?seen=3 http/1.1"));
        assert!(seen[0].header("x-deadline-ms").is_some());
    }
}

#[tokio::test]
async fn what_was_never_sent_goes_to_the_other_instance_even_without_a_key() {
    let well = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[nobody(), well.address], &[CALM]).await;
    for _ in 0..4 {
        assert_eq!(status(gateway.post()).await, StatusCode::CREATED);
    }
    let alone = Gateway::start(&[nobody()], &[]).await;
    let response = alone.post().send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(code(response).await, "no_upstream");
}

/// Statuses of so many keyed orders, one after the other.
async fn order(gateway: &Gateway, count: usize) -> Vec<StatusCode> {
    let mut statuses = Vec::new();
    for key in 0..count {
        statuses.push(status(gateway.post_with_key(key)).await);
    }
    statuses
}

const EAGER: [(&str, &str); 4] = [
    ("RETRY_BUDGET_WINDOW_S", "1"),
    ("EJECTION_BASE_MS", "100"),
    ("EJECTION_PROBE_INTERVAL_MS", "10"),
    ("CLIENT_BURST", "1000"),
];

#[tokio::test]
async fn a_failing_instance_is_ejected_and_comes_back_when_it_is_well() {
    let failing = Instance::start(Mood::Cutting).await;
    let well = Instance::start(Mood::Well).await;
    let settings = [&EAGER[..], &[("RETRY_BUDGET_MIN_PER_S", "3")]].concat();
    let gateway = Gateway::start(&[failing.address, well.address], &settings).await;
    let statuses = order(&gateway, 60).await;
    assert!(
        statuses.iter().all(|status| *status == StatusCode::CREATED),
        "{statuses:?}"
    );
    assert_eq!(failing.seen().len(), 3);
    failing.set(Mood::Well);
    let back = async {
        while failing.seen().len() == 3 {
            order(&gateway, 2).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), back)
        .await
        .expect("back in rotation");
}

#[tokio::test]
async fn without_ejection_the_retry_budget_runs_out_and_customers_see_it() {
    let failing = Instance::start(Mood::Cutting).await;
    let well = Instance::start(Mood::Well).await;
    let settings = [&EAGER[..], &[("DEFENCES_OFF", "gateway.outlier-ejection")]].concat();
    let gateway = Gateway::start(&[failing.address, well.address], &settings).await;
    let statuses = order(&gateway, 60).await;
    let refused = statuses
        .iter()
        .filter(|status| **status != StatusCode::CREATED)
        .count();
    assert!(refused > 10, "{refused} of 60");
    assert!(failing.seen().len() > 20);
}

#[tokio::test]
async fn an_instance_that_sheds_load_is_replaced_but_not_ejected() {
    let shedding = Instance::start(Mood::Failing(503)).await;
    let well = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(
        &[shedding.address, well.address],
        &[("RETRY_BUDGET_MIN_PER_S", "100")],
    )
    .await;
    for _ in 0..12 {
        assert_eq!(status(gateway.post()).await, StatusCode::CREATED);
    }
    assert_eq!(shedding.seen().len(), 6);
}
