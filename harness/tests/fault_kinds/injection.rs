//! What all injections share: dropped ones heal, missing targets are told, a fault that hits nothing is not felt.

use std::time::Duration;

use firedrill::fault::inject;

use super::{fault, kind, pipeline::SmallPipeline};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_injection_that_is_dropped_heals_in_the_background() {
    let pipeline = SmallPipeline::default()
        .with_victims("worker", 1)
        .await
        .share();
    let killed = fault(kind(
        r#"kind = "process_killed"
        instance = "worker-1""#,
    ));
    let injection = inject(&killed, &pipeline, 1).await.expect("injected");
    drop(injection);
    pipeline
        .ready("worker-1", SOON)
        .await
        .expect("it lives again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_not_there_is_told() {
    let pipeline = SmallPipeline::default().share();
    for profile in [
        "kind = \"process_killed\"\ninstance = \"worker-1\"",
        "kind = \"process_paused\"\ncomponent = \"worker\"",
        "kind = \"latency\"\nlink = \"a -> b\"\ndelay_ms = 1",
        "kind = \"external_script\"\ncomponent = \"world\"\nbehaviour = \"hang\"",
        "kind = \"rows_locked\"\ncomponent = \"worker\"\ntable = \"rows\"",
        "kind = \"secret_rotated\"\ncomponent = \"worker\"",
    ] {
        let error = inject(&fault(kind(profile)), &pipeline, 1).await;
        let error = error.expect_err("there is nothing to hurt");
        assert!(
            error.to_string().starts_with("the fault \"test-"),
            "{error}"
        );
        assert!(!error.is_unsupported(), "{error}");
    }
    let error = inject(
        &fault(kind("kind = \"messages_duplicated\"\ntopics = [\"t\"]")),
        &pipeline,
        1,
    )
    .await
    .expect_err("there is no broker");
    assert!(error.is_unsupported(), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_hits_nothing_is_not_felt() {
    let pipeline = SmallPipeline::default()
        .with_victims("worker", 1)
        .await
        .share();
    let crash = fault(kind(&format!(
        "kind = \"fail_point\"\ncomponent = \"worker\"\npoint = \"{}\"\naction = \"error\"",
        super::victim::POINT
    )));
    let mut injection = inject(&crash, &pipeline, 1).await.expect("injected");
    let waited = injection
        .wait_until_felt(1, Duration::from_millis(100))
        .await;
    let felt = waited.expect("the witness answers");
    assert_eq!(felt.count, 0);
    assert!(!felt.is_enough());
    assert!(!injection.heal().await.expect("healed").felt.is_enough());
}
