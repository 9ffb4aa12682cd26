//! What customers are told, and how often.

use contracts::OrderEventKind as Kind;
use kafka_broker::OffsetReset;
use serde_json::json;
use uuid::Uuid;

use crate::support::{LIMIT, Surroundings, event_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_told_what_became_of_the_order_and_nothing_else() {
    let around = Surroundings::new(&[]).await;
    let service = around.start_without("").await;
    let lives: [(&[Kind], &[&str]); 5] = [
        (
            &[Kind::Placed, Kind::Paid, Kind::Fulfilled],
            &["paid:email", "paid:sms"],
        ),
        (&[Kind::Placed, Kind::Declined], &["declined:email"]),
        (
            &[Kind::Placed, Kind::Paid, Kind::OutOfStock, Kind::Refunded],
            &["paid:email", "paid:sms", "refunded:email"],
        ),
        (&[Kind::Placed, Kind::Cancelled], &["cancelled:email"]),
        (&[Kind::Placed], &[]),
    ];
    let orders = lives.map(|(events, told)| (Uuid::new_v4(), events, told));
    for (order_id, events, _) in orders {
        for kind in events {
            around.publish(&event_of(order_id, *kind));
        }
    }
    around.committed(12).await;
    for (order_id, _, told) in orders {
        assert_eq!(around.told(order_id).await, told);
    }
    let mailbox = around.mailbox().await;
    let paid = &mailbox["messages"][0];
    assert_eq!(paid["recipient"], "customer-007@shop.example");
    assert_eq!(paid["template"], "v1/paid");
    let body = paid["body"].as_str().expect("a body");
    assert!(
        body.contains("12.00 EUR") && body.contains("2 units"),
        "{body}"
    );
    let key = format!("{}:paid:email", orders[0].0);
    assert_eq!(paid["idempotency_key"], json!(key));
    let sms = &mailbox["messages"][1];
    assert_eq!(sms["recipient"], "+49155500000007");
    assert_eq!(around.count("select count(*) from inbox").await, 5);
    let unsent = "select count(*) from notifications where state <> 'sent'";
    assert_eq!(around.count(unsent).await, 0);
    service_testing::stop(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_becomes_trusted_is_asked_without_a_restart() {
    let around = Surroundings::new(&[]).await;
    let trusted = around.trusting_somebody_else();
    let settings = [("CA_FILE", trusted.as_str()), ("CA_RELOAD_MS", "20")];
    let service = around.start_with(&settings).await;
    let order_id = Uuid::new_v4();
    around.publish(&event_of(order_id, Kind::Paid));
    service_testing::eventually("it was refused to ask", async || {
        let metrics = service.metrics.text().expect("text");
        metrics.contains("notification_attempts_total{channel=\"email\",result=\"failed\"}")
    })
    .await;
    assert!(around.told(order_id).await.is_empty());
    around.trust_the_provider(&trusted);
    around.committed(1).await;
    assert_eq!(around.told(order_id).await, ["paid:email", "paid:sms"]);
    service_testing::stop(&service).await;
}

/// How often a paid order was confirmed by e-mail after its event came twice and everything was read once more, by a
/// provider that remembers no keys.
async fn told_in_a_replay(defences_off: &str) -> usize {
    let around = Surroundings::new(&[("KEY_MEMORY_MS", "0")]).await;
    let service = around.start_without(defences_off).await;
    let order_id = Uuid::new_v4();
    for _ in 0..2 {
        around.publish(&event_of(order_id, Kind::Paid));
    }
    around.committed(2).await;
    around
        .broker
        .reset_offsets(
            notification_service::NAME,
            "order-events",
            OffsetReset::Earliest,
        )
        .expect("reset");
    around.publish(&event_of(Uuid::new_v4(), Kind::Placed));
    around.committed(3).await;
    let told = around.told(order_id).await;
    service_testing::stop(&service).await;
    told.iter().filter(|told| *told == "paid:email").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_again_tells_nothing_again() {
    assert_eq!(told_in_a_replay("").await, 1);
    assert!(told_in_a_replay("notification.dedup").await > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_delivered_is_delivered_later_and_once() {
    let around = Surroundings::new(&[]).await;
    let service = around.start_without("").await;
    let failing = json!({ "behaviour": "fail_after_booking", "status": 503, "times": 3 });
    around.script(failing).await;
    let order_id = Uuid::new_v4();
    around.publish(&event_of(order_id, Kind::Paid));
    around.committed(1).await;
    assert_eq!(around.told(order_id).await, ["paid:email", "paid:sms"]);
    service_testing::stop(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_retry_what_fails_once_is_given_up() {
    let around = Surroundings::new(&[]).await;
    let service = around.start_without("notification.retry").await;
    around
        .script(json!({ "behaviour": "fail_before_booking", "times": 1 }))
        .await;
    let order_id = Uuid::new_v4();
    around.publish(&event_of(order_id, Kind::Paid));
    around.committed(1).await;
    assert_eq!(around.told(order_id).await, ["paid:sms"]);
    let given_up = "select count(*) from notifications where state = 'given_up'";
    assert_eq!(around.count(given_up).await, 1);
    service_testing::stop(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_refuses_is_parked_with_the_reason() {
    let around = Surroundings::new(&[]).await;
    let service = around.start_without("").await;
    around
        .script(json!({ "behaviour": "decline", "times": 1 }))
        .await;
    let (refused, behind) = (Uuid::new_v4(), Uuid::new_v4());
    around.publish(&event_of(refused, Kind::Declined));
    around.publish(&event_of(behind, Kind::Declined));
    around.committed(2).await;
    assert_eq!(around.told(refused).await, Vec::<String>::new());
    assert_eq!(around.told(behind).await, ["declined:email"]);
    let parked = around.parked();
    assert_eq!(parked.len(), 1);
    assert!(
        parked[0].contains("recipient is not accepted"),
        "{parked:?}"
    );
    service_testing::stop(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_without_paid_only_is_a_placed_order_confirmed() {
    let around = Surroundings::new(&[]).await;
    let service = around.start_without("notification.paid-only").await;
    let order_id = Uuid::new_v4();
    around.publish(&event_of(order_id, Kind::Placed));
    around.publish(&event_of(order_id, Kind::Declined));
    around.committed(2).await;
    let told = around.told(order_id).await;
    assert_eq!(told, ["declined:email", "paid:email", "paid:sms"]);
    service_testing::stop(&service).await;
}

/// Attempts that it took to send one e-mail while the provider refused with 429 for as long as it says.
async fn attempts_under_a_limit(defences_off: &str) -> u64 {
    let around = Surroundings::new(&[]).await;
    let service = around.start_without(defences_off).await;
    let limit = json!({ "behaviour": "rate_limit", "requests_per_second": 1 });
    around.script(limit).await;
    let orders: Vec<_> = (0..2).map(|_| Uuid::new_v4()).collect();
    for order_id in &orders {
        around.publish(&event_of(*order_id, Kind::Declined));
    }
    around.committed(2).await;
    for order_id in orders {
        assert_eq!(around.told(order_id).await, ["declined:email"]);
    }
    service_testing::stop(&service).await;
    let mailbox = around.mailbox().await;
    let requests = mailbox["requests"].as_array().expect("a list");
    let attempts = requests.iter().map(|one| one["attempts"].as_u64());
    attempts
        .map(|count| count.expect("a number"))
        .max()
        .expect("requests")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_limit_is_kept_by_waiting_not_by_asking() {
    assert!(attempts_under_a_limit("").await <= 2);
    assert!(attempts_under_a_limit("notification.rate-limit").await > 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_waits_for_the_provider_still_stops() {
    let around = Surroundings::new(&[]).await;
    let service = around.start_without("").await;
    let down = json!({ "behaviour": "fail_before_booking" });
    around.script(down).await;
    let order_id = Uuid::new_v4();
    around.publish(&event_of(order_id, Kind::Paid));
    let pending = "select count(*) from notifications where state = 'pending'";
    service_testing::eventually("it is being sent", async || {
        around.count(pending).await == 2
    })
    .await;
    service_testing::stop(&service).await;
    assert_eq!(around.told(order_id).await, Vec::<String>::new());
    let asked = around.broker.wait_for(LIMIT, |broker| {
        broker
            .group_progress()
            .iter()
            .all(|one| one.committed.unwrap_or(0) == 0)
    });
    assert!(asked.await, "an event that was not told is not committed");
}
