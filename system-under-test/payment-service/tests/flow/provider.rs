//! A provider that is out for long, retires its API's version, or shows another certificate, with and without the defence.

use contracts::payment::PaymentResultKind;
use serde_json::json;
use uuid::Uuid;

use crate::is_charged;
use crate::pipeline::{Trusted, start, start_trusting};

#[tokio::test]
async fn a_retired_version_charges_nobody_and_declines_nobody() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline
        .script("retired", json!({ "behaviour": "retire_version" }))
        .await;
    pipeline.ask_charge(order);
    pipeline.wait_for_attempts("retired", 6).await;
    assert!(pipeline.results().is_empty());
    assert_eq!(pipeline.charges_of(order).await, 0);
    pipeline.unscript("retired").await;
    let results = pipeline.wait_for_results(1).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    pipeline.end().await;
}

#[tokio::test]
async fn without_the_version_check_a_retired_version_is_taken_for_a_refused_card() {
    let pipeline = start("payment.version-check").await;
    let order = Uuid::now_v7();
    pipeline
        .script("retired", json!({ "behaviour": "retire_version" }))
        .await;
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(1).await;
    assert!(
        matches!(results[0].1, PaymentResultKind::Declined { .. }),
        "{results:?}"
    );
    pipeline.end().await;
}

#[tokio::test]
async fn without_the_retry_policy_a_long_outage_is_held_against_the_message() {
    let pipeline = start("payment.retry-policy").await;
    let order = Uuid::now_v7();
    pipeline
        .script("down", json!({ "behaviour": "fail_before_booking" }))
        .await;
    pipeline.ask_charge(order);
    let reasons = pipeline.wait_for_parked(1).await;
    assert!(reasons[0].contains("not decided"), "{reasons:?}");
    assert!(pipeline.results().is_empty());
    pipeline.end().await;
}

#[tokio::test]
async fn a_provider_of_an_unknown_authority_gets_nothing_until_the_authority_is_trusted() {
    let pipeline = start_trusting(Trusted::SomebodyElse, "").await;
    let order = Uuid::now_v7();
    pipeline.ask_charge(order);
    pipeline.wait_for_attempts("not_booked", 4).await;
    let requests = pipeline.ledger().await["requests"].as_array().map(Vec::len);
    assert_eq!(requests, Some(0), "no request left the service");
    pipeline.trust_the_provider();
    let results = pipeline.wait_for_results(1).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    pipeline.end().await;
}

#[tokio::test]
async fn without_reloading_a_new_authority_is_never_trusted() {
    let pipeline = start_trusting(Trusted::SomebodyElse, "payment.ca-reload").await;
    pipeline.ask_charge(Uuid::now_v7());
    pipeline.trust_the_provider();
    pipeline.wait_for_attempts("not_booked", 12).await;
    assert!(pipeline.results().is_empty());
    pipeline.end().await;
}

#[tokio::test]
async fn without_verification_anybody_is_believed() {
    let pipeline = start_trusting(Trusted::SomebodyElse, "payment.tls-verify").await;
    let order = Uuid::now_v7();
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(1).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    pipeline.end().await;
}
