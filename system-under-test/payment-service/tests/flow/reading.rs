//! Commands of other versions, and commands in the wrong order, with and without the defence.

use contracts::payment::PaymentResultKind;
use serde_json::json;
use uuid::Uuid;

use crate::is_charged;
use crate::pipeline::start;

#[tokio::test]
async fn a_command_of_an_unknown_major_version_is_parked_and_charges_nobody() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline.ask_changed_charge(order, &[("version", json!(2))]);
    let reasons = pipeline.wait_for_parked(1).await;
    assert!(reasons[0].contains("version 2"), "{reasons:?}");
    assert_eq!(pipeline.charges_of(order).await, 0);
    pipeline.end().await;
}

#[tokio::test]
async fn without_the_schema_check_its_meaning_is_guessed() {
    let pipeline = start("payment.schema-check").await;
    let order = Uuid::now_v7();
    pipeline.ask_changed_charge(order, &[("version", json!(2))]);
    pipeline.wait_for_results(1).await;
    assert_eq!(pipeline.charges_of(order).await, 1);
    pipeline.end().await;
}

#[tokio::test]
async fn a_command_with_fields_of_a_later_build_is_understood() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline.ask_changed_charge(order, &[("loyalty", json!("gold"))]);
    let results = pipeline.wait_for_results(1).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    pipeline.end().await;
}

#[tokio::test]
async fn without_tolerance_it_is_parked() {
    let pipeline = start("payment.version-tolerance").await;
    let (plain, order) = (Uuid::now_v7(), Uuid::now_v7());
    pipeline.ask_charge(plain);
    pipeline.ask_changed_charge(order, &[("loyalty", json!("gold"))]);
    let reasons = pipeline.wait_for_parked(1).await;
    assert!(reasons[0].contains("loyalty"), "{reasons:?}");
    assert_eq!(
        pipeline.results().len(),
        1,
        "what has no such field goes on"
    );
    pipeline.end().await;
}

#[tokio::test]
async fn a_refund_that_comes_before_its_charge_is_made_after_it() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline.ask_refund(order);
    pipeline.ask_refund(order);
    pipeline.wait_for_commit().await;
    assert!(pipeline.results().is_empty() && pipeline.reasons().is_empty());
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(2).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    assert!(
        matches!(results[1].1, PaymentResultKind::Refunded { .. }),
        "{results:?}"
    );
    pipeline.ask_refund(order);
    let results = pipeline.wait_for_results(3).await;
    assert_eq!(results[1], results[2], "made once, answered again");
    let ledger = pipeline.ledger().await;
    assert_eq!(ledger["refunds"].as_array().map(Vec::len), Some(1));
    pipeline.end().await;
}

#[tokio::test]
async fn without_the_sequence_check_an_early_refund_is_given_up() {
    let pipeline = start("payment.sequence-check").await;
    let order = Uuid::now_v7();
    pipeline.ask_refund(order);
    pipeline.ask_charge(order);
    pipeline.wait_for_results(1).await;
    let reasons = pipeline.wait_for_parked(1).await;
    assert!(reasons[0].contains("no charge"), "{reasons:?}");
    let ledger = pipeline.ledger().await;
    assert_eq!(ledger["refunds"].as_array().map(Vec::len), Some(0));
    pipeline.end().await;
}
