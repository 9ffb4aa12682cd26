//! What becomes of payment commands when the provider, its answers or the queue misbehave, with and without the defence.

mod pipeline;
mod provider;
mod reading;

use contracts::payment::PaymentResultKind;
use contracts::topic;
use pipeline::start;
use serde_json::json;
use uuid::Uuid;

fn is_charged(result: &PaymentResultKind) -> bool {
    matches!(result, PaymentResultKind::Charged { .. })
}

/// The answer comes after our patience with the provider: for us it is lost, and yet the charge is booked.
fn lost_answers(times: u64) -> serde_json::Value {
    json!({ "behaviour": "slow", "delay_ms": 900, "times": times, "kind": "charge" })
}

#[tokio::test]
async fn a_charge_is_made_recorded_and_answered() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(1).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    pipeline.wait_for_commit().await;
    assert_eq!(
        pipeline.state(order, "charge").await.as_deref(),
        Some("succeeded")
    );
    let ledger = pipeline.ledger().await;
    assert_eq!(
        ledger["charges"][0]["idempotency_key"],
        format!("{order}:charge")
    );
    assert_eq!(ledger["requests"][0]["attempts"], 1);
    pipeline.end().await;
}

#[tokio::test]
async fn a_lost_answer_costs_one_charge() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline.script("lost", lost_answers(2)).await;
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(1).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    assert_eq!(pipeline.unscript("lost").await, 2);
    assert_eq!(pipeline.charges_of(order).await, 1);
    pipeline.end().await;
}

#[tokio::test]
async fn without_the_key_a_lost_answer_costs_two() {
    let pipeline = start("payment.idempotency-key").await;
    let order = Uuid::now_v7();
    pipeline.script("lost", lost_answers(1)).await;
    pipeline.ask_charge(order);
    pipeline.wait_for_results(1).await;
    service_testing::eventually("charged twice", async || {
        pipeline.charges_of(order).await == 2
    })
    .await;
    pipeline.end().await;
}

#[tokio::test]
async fn an_error_after_booking_is_cleared_up_by_a_look_up() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline
        .script("broken", json!({ "behaviour": "fail_after_booking" }))
        .await;
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(1).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    assert_eq!(pipeline.unscript("broken").await, 3);
    assert_eq!(pipeline.charges_of(order).await, 1);
    pipeline.end().await;
}

#[tokio::test]
async fn without_reconciliation_a_charged_order_is_reported_declined() {
    let pipeline = start("payment.reconcile").await;
    let order = Uuid::now_v7();
    pipeline
        .script("broken", json!({ "behaviour": "fail_after_booking" }))
        .await;
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(1).await;
    assert!(
        matches!(results[0].1, PaymentResultKind::Declined { .. }),
        "{results:?}"
    );
    assert_eq!(pipeline.charges_of(order).await, 1);
    pipeline.end().await;
}

#[tokio::test]
async fn an_undecided_payment_waits_in_the_queue_until_it_is_decided() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline
        .script(
            "down",
            json!({ "behaviour": "fail_before_booking", "status": 503 }),
        )
        .await;
    pipeline.ask_charge(order);
    // More attempts than one call of the work makes: the queue has offered the command again.
    pipeline.wait_until_acted("down", 12).await;
    assert!(pipeline.results().is_empty());
    assert_eq!(pipeline.lag(), 1);
    assert_ne!(
        pipeline.state(order, "charge").await.as_deref(),
        Some("declined")
    );
    pipeline.unscript("down").await;
    let results = pipeline.wait_for_results(1).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    pipeline.wait_for_commit().await;
    assert_eq!(pipeline.charges_of(order).await, 1);
    pipeline.end().await;
}

#[tokio::test]
async fn an_error_in_a_successful_answer_is_not_believed() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline
        .script("disguise", json!({ "behaviour": "error_body", "times": 2 }))
        .await;
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(1).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    assert_eq!(pipeline.charges_of(order).await, 1);
    pipeline.end().await;
}

#[tokio::test]
async fn without_the_body_check_an_order_is_paid_that_was_never_charged() {
    let pipeline = start("payment.body-check").await;
    let order = Uuid::now_v7();
    pipeline
        .script("disguise", json!({ "behaviour": "error_body", "times": 1 }))
        .await;
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(1).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    assert_eq!(pipeline.charges_of(order).await, 0);
    pipeline.end().await;
}

#[tokio::test]
async fn a_declined_card_is_a_declined_order() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline
        .script("decline", json!({ "behaviour": "decline", "times": 1 }))
        .await;
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(1).await;
    assert!(
        matches!(results[0].1, PaymentResultKind::Declined { .. }),
        "{results:?}"
    );
    assert_eq!(
        pipeline.state(order, "charge").await.as_deref(),
        Some("declined")
    );
    assert_eq!(pipeline.charges_of(order).await, 0);
    pipeline.end().await;
}

#[tokio::test]
async fn a_command_that_comes_twice_gets_the_same_answer_twice() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline.ask_charge(order);
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(2).await;
    assert_eq!(results[0], results[1]);
    let ledger = pipeline.ledger().await;
    assert_eq!(ledger["requests"][0]["attempts"], 1);
    pipeline.end().await;
}

#[tokio::test]
async fn without_the_inbox_a_command_that_comes_twice_is_processed_twice() {
    let pipeline = start("payment.inbox-dedup").await;
    let order = Uuid::now_v7();
    pipeline.ask_charge(order);
    pipeline.ask_charge(order);
    pipeline.wait_for_results(2).await;
    assert_eq!(pipeline.ledger().await["requests"][0]["attempts"], 2);
    assert_eq!(pipeline.charges_of(order).await, 1);
    pipeline.end().await;
}

#[tokio::test]
async fn a_charge_is_given_back_once() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline.ask_charge(order);
    pipeline
        .script(
            "lost",
            json!({ "behaviour": "slow", "delay_ms": 900, "times": 1, "kind": "refund" }),
        )
        .await;
    pipeline.ask_refund(order);
    pipeline.ask_refund(order);
    let results = pipeline.wait_for_results(3).await;
    assert!(
        matches!(results[1].1, PaymentResultKind::Refunded { .. }),
        "{results:?}"
    );
    assert_eq!(results[1], results[2]);
    assert_eq!(
        pipeline.ledger().await["refunds"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(
        pipeline.state(order, "refund").await.as_deref(),
        Some("succeeded")
    );
    pipeline.end().await;
}

#[tokio::test]
async fn what_cannot_be_processed_is_parked_with_the_reason_and_the_rest_goes_on() {
    let pipeline = start("").await;
    let order = Uuid::now_v7();
    pipeline.put(order, b"not a message");
    pipeline.put(order, br#"{"version":9,"message_id":"x"}"#);
    pipeline.ask_changed_charge(order, &[("amount_minor", json!(0))]);
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(1).await;
    assert!(is_charged(&results[0].1), "{results:?}");
    let parked = pipeline.records(&topic::dead(topic::PAYMENT_COMMANDS));
    assert_eq!(parked[0].value.as_deref(), Some(&b"not a message"[..]));
    let reasons = pipeline.reasons();
    assert_eq!(reasons.len(), 3);
    assert!(reasons[0].contains("JSON"), "{reasons:?}");
    assert!(reasons[1].contains("version 9"), "{reasons:?}");
    assert!(reasons[2].contains("amount of 0"), "{reasons:?}");
    pipeline.end().await;
}

#[tokio::test]
async fn without_retries_a_provider_that_is_down_for_a_moment_loses_the_sale() {
    let pipeline = start("payment.retry").await;
    let order = Uuid::now_v7();
    pipeline
        .script(
            "down",
            json!({ "behaviour": "fail_before_booking", "times": 1 }),
        )
        .await;
    pipeline.ask_charge(order);
    let results = pipeline.wait_for_results(1).await;
    assert!(
        matches!(results[0].1, PaymentResultKind::Declined { .. }),
        "{results:?}"
    );
    pipeline.end().await;
}
