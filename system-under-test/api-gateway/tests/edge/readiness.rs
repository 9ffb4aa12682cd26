//! Requests go to instances that say that they are ready.

use reqwest::StatusCode;

use crate::gateway::{Gateway, status};
use crate::instance::{Instance, Mood};

/// Without repetitions, so that every request to an instance that is not ready is seen by its customer.
const QUICK: [(&str, &str); 2] = [("READINESS_INTERVAL_MS", "10"), ("UPSTREAM_ATTEMPTS", "1")];

#[tokio::test]
async fn an_instance_that_says_it_is_not_ready_gets_nothing_until_it_is() {
    let cold = Instance::start(Mood::Unready).await;
    let warm = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[cold.address, warm.address], &QUICK).await;
    service_testing::eventually("the gateway knows that one is not ready", async || {
        let before = cold.seen().len();
        for _ in 0..2 {
            gateway.post().send().await.expect("an answer");
        }
        cold.seen().len() == before
    })
    .await;
    let before = cold.seen().len();
    for _ in 0..10 {
        assert_eq!(status(gateway.post()).await, StatusCode::CREATED);
    }
    assert_eq!(cold.seen().len(), before);
    cold.set(Mood::Well);
    service_testing::eventually("it gets requests when it is ready", async || {
        assert_eq!(status(gateway.post()).await, StatusCode::CREATED);
        cold.seen().len() > before
    })
    .await;
}

#[tokio::test]
async fn when_nobody_is_ready_the_instances_themselves_say_so() {
    let cold = Instance::start(Mood::Unready).await;
    let gateway = Gateway::start(&[cold.address], &QUICK).await;
    service_testing::eventually("it was asked", async || cold.probed() > 1).await;
    assert_eq!(
        status(gateway.post()).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(cold.seen().len(), 1);
}

#[tokio::test]
async fn without_the_defence_nobody_is_asked_and_customers_meet_whoever_is_not_ready() {
    let cold = Instance::start(Mood::Unready).await;
    let warm = Instance::start(Mood::Well).await;
    let settings = [&QUICK[..], &[("DEFENCES_OFF", "gateway.readiness-routing")]].concat();
    let gateway = Gateway::start(&[cold.address, warm.address], &settings).await;
    let mut refused = 0;
    for _ in 0..10 {
        refused += usize::from(status(gateway.post()).await == StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!((refused, cold.seen().len(), cold.probed()), (5, 5, 0));
}

#[tokio::test]
async fn an_instance_that_does_not_say_in_time_whether_it_is_ready_gets_nothing() {
    let hanging = Instance::start(Mood::Hanging).await;
    let well = Instance::start(Mood::Well).await;
    let settings = [&QUICK[..], &[("READINESS_LIMIT_MS", "50")]].concat();
    let gateway = Gateway::start(&[hanging.address, well.address], &settings).await;
    let line = format!("upstream_ready{{address=\"{}\"}} 0", hanging.address);
    service_testing::eventually("the gateway has waited for an answer", async || {
        let metrics = gateway.service.metrics.text().expect("text");
        metrics.contains(&line)
    })
    .await;
    for _ in 0..4 {
        assert_eq!(status(gateway.post()).await, StatusCode::CREATED);
    }
    assert!(hanging.seen().is_empty());
}
