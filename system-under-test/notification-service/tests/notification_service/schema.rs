//! Events of other versions and shapes.

use contracts::OrderEventKind as Kind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Surroundings, event_of};

fn changed(order_id: Uuid, change: impl FnOnce(&mut Value)) -> Value {
    let mut event = contracts::write(&event_of(order_id, Kind::Paid)).expect("written");
    change(&mut event);
    event
}

fn without(order_id: Uuid, field: &str) -> Value {
    changed(order_id, |event| {
        event.as_object_mut().expect("an object").remove(field);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_parked_with_the_reason_and_the_rest_goes_on() {
    let around = Surroundings::new(&[]).await;
    let service = around.start_without("").await;
    let (good, older, nobodys) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    around.publish_bytes(b"noise");
    around.publish_value(&changed(Uuid::new_v4(), |event| {
        event["version"] = json!(2)
    }));
    around.publish_value(&without(nobodys, "customer_id"));
    around.publish_value(&changed(nobodys, |event| event["customer_id"] = json!("")));
    around.publish_value(&changed(good, |event| event["loyalty"] = json!("gold")));
    around.publish_value(&without(older, "currency"));
    around.committed(6).await;
    let parked = around.parked();
    let reasons = [
        "not a JSON object",
        "version 2 is unknown",
        "customer_id",
        "no customer",
    ];
    assert_eq!(parked.len(), reasons.len(), "{parked:?}");
    for (parked, reason) in parked.iter().zip(reasons) {
        assert!(parked.contains(reason), "{parked}");
    }
    for order_id in [good, older] {
        assert_eq!(around.told(order_id).await, ["paid:email", "paid:sms"]);
    }
    assert_eq!(around.told(nobodys).await, Vec::<String>::new());
    service_testing::stop(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_schema_check_what_is_not_understood_is_passed_over() {
    let around = Surroundings::new(&[]).await;
    let service = around.start_without("notification.schema-check").await;
    around.publish_value(&changed(Uuid::new_v4(), |event| {
        event["version"] = json!(2)
    }));
    around.committed(1).await;
    assert_eq!(around.parked(), Vec::<String>::new());
    service_testing::stop(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tolerance_an_event_with_a_newer_field_is_parked() {
    let around = Surroundings::new(&[]).await;
    let service = around.start_without("notification.version-tolerance").await;
    let later = changed(Uuid::new_v4(), |event| event["loyalty"] = json!("gold"));
    around.publish_value(&later);
    around.committed(1).await;
    let parked = around.parked();
    assert_eq!(parked.len(), 1);
    assert!(parked[0].contains("loyalty"), "{parked:?}");
    service_testing::stop(&service).await;
}
