//! Faults of processes: killed, killed at random, frozen, hurt at a fail-point.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill::{
    fault::inject,
    testbed::{Pipeline, Signal},
};

use super::{
    fault, kind,
    pipeline::SmallPipeline,
    victim::{POINT, get},
};

const SOON: Duration = Duration::from_secs(10);

async fn two_victims() -> Arc<dyn Pipeline> {
    SmallPipeline::default()
        .with_victims("worker", 2)
        .await
        .share()
}

async fn answers(pipeline: &Arc<dyn Pipeline>, instance: &str, path: &str) -> Option<u16> {
    get(
        pipeline.address(instance, "http").expect("an address"),
        path,
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_is_dead_until_healed_and_its_neighbour_lives() {
    let pipeline = two_victims().await;
    let killed = fault(kind(
        r#"kind = "process_killed"
        instance = "worker-1""#,
    ));
    let mut injection = inject(&killed, &pipeline, 1).await.expect("injected");
    assert_eq!(
        answers(&pipeline, "worker-1", "/work").await,
        None,
        "it bites"
    );
    assert_eq!(
        answers(&pipeline, "worker-2", "/work").await,
        Some(200),
        "it spares"
    );
    assert_eq!(pipeline.exits("worker-1")[0].signal, Some(9));
    assert_eq!(injection.felt().await.expect("a witness").count, 1);
    let report = injection.heal().await.expect("healed");
    assert_eq!(
        answers(&pipeline, "worker-1", "/work").await,
        Some(200),
        "it heals"
    );
    assert_eq!(report.restored, ["worker-1 runs and is ready"]);
    let again = injection.heal().await.expect("healing twice is once");
    assert_eq!(again, report);
    assert_eq!(pipeline.exits("worker-1").len(), 1, "healing does not kill");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_is_killed_comes_back_by_itself_when_it_is_told_to() {
    let pipeline = two_victims().await;
    let killed = fault(kind(
        r#"kind = "process_killed"
        component = "worker"
        signal = "terminate"
        restart_after_ms = 50"#,
    ));
    let mut injection = inject(&killed, &pipeline, 1).await.expect("injected");
    for instance in ["worker-1", "worker-2"] {
        assert_eq!(pipeline.exits(instance).len(), 1);
        pipeline.ready(instance, SOON).await.expect("it comes back");
    }
    let report = injection.heal().await.expect("healed");
    assert_eq!(report.felt.count, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_kills_stop_at_their_number_and_everybody_lives_in_the_end() {
    let pipeline = two_victims().await;
    let killed = fault(kind(
        r#"kind = "process_killed"
        component = "worker"
        restart_after_ms = 10
        at_random = { between_ms = [5, 30], times = 3 }"#,
    ));
    let mut injection = inject(&killed, &pipeline, 7).await.expect("injected");
    let felt = injection.wait_until_felt(3, SOON).await.expect("a witness");
    assert_eq!(felt.count, 3);
    let report = injection.heal().await.expect("healed");
    assert_eq!(report.felt.count, 3);
    let ends: usize = ["worker-1", "worker-2"]
        .iter()
        .map(|instance| pipeline.exits(instance).len())
        .sum();
    assert_eq!(ends, 3);
    for instance in ["worker-1", "worker-2"] {
        assert_eq!(answers(&pipeline, instance, "/work").await, Some(200));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_kills_are_the_same_for_the_same_seed() {
    let mut stories = Vec::new();
    for seed in [5, 5] {
        let pipeline = two_victims().await;
        let killed = fault(kind(
            r#"kind = "process_killed"
            component = "worker"
            restart_after_ms = 0
            at_random = { between_ms = [1, 5], times = 4 }"#,
        ));
        let mut injection = inject(&killed, &pipeline, seed).await.expect("injected");
        injection.wait_until_felt(4, SOON).await.expect("a witness");
        injection.heal().await.expect("healed");
        stories.push([
            pipeline.exits("worker-1").len(),
            pipeline.exits("worker-2").len(),
        ]);
    }
    assert_eq!(stories[0], stories[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_process_answers_nothing_and_goes_on_when_it_thaws() {
    let pipeline = two_victims().await;
    let paused = fault(kind(
        r#"kind = "process_paused"
        instance = "worker-1""#,
    ));
    let mut injection = inject(&paused, &pipeline, 1).await.expect("injected");
    let felt = injection.wait_until_felt(1, SOON).await.expect("a witness");
    assert!(felt.is_enough());
    assert_eq!(
        answers(&pipeline, "worker-1", "/work").await,
        None,
        "it bites"
    );
    assert_eq!(
        answers(&pipeline, "worker-2", "/work").await,
        Some(200),
        "it spares"
    );
    injection.heal().await.expect("healed");
    assert_eq!(
        answers(&pipeline, "worker-1", "/work").await,
        Some(200),
        "it heals"
    );
    assert!(pipeline.exits("worker-1").is_empty(), "it never died");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_process_does_not_feel_frozen() {
    let pipeline = two_victims().await;
    let paused = fault(kind(
        r#"kind = "process_paused"
        instance = "worker-1""#,
    ));
    let injection = inject(&paused, &pipeline, 1).await.expect("injected");
    // Thawed behind the injector's back: the witness must not go on counting.
    pipeline
        .signal("worker-1", Signal::Continue)
        .await
        .expect("thawed");
    pipeline.ready("worker-1", SOON).await.expect("ready");
    let before = injection.felt().await.expect("a witness").count;
    let after = injection
        .wait_until_felt(before + 3, Duration::from_millis(700))
        .await;
    let after = after.expect("a witness").count;
    assert!(after <= before + 1, "{before} and then {after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_point_kills_exactly_where_and_as_often_as_it_was_told() {
    let pipeline = two_victims().await;
    let crash = fault(kind(&format!(
        r#"kind = "fail_point"
        component = "worker"
        point = "{POINT}"
        action = "kill"
        times = 2
        restart_after_ms = 0"#
    )));
    let mut injection = inject(&crash, &pipeline, 1).await.expect("injected");
    assert_eq!(
        injection.felt().await.expect("a witness").count,
        0,
        "not felt before it is passed"
    );
    for end in 0..2 {
        assert_eq!(
            answers(&pipeline, "worker-1", "/work").await,
            None,
            "it bites"
        );
        let exit = tokio::time::timeout(SOON, pipeline.wait_for_exit("worker-1", end)).await;
        assert_eq!(exit.expect("it ends").signal, Some(9));
        pipeline
            .ready("worker-1", SOON)
            .await
            .expect("it comes back");
        wait_until_armed(&pipeline, "worker-1", end == 0).await;
    }
    assert_eq!(
        answers(&pipeline, "worker-1", "/work").await,
        Some(200),
        "twice is enough"
    );
    assert_eq!(
        answers(&pipeline, "worker-2", "/work").await,
        Some(200),
        "for the neighbour too"
    );
    let report = injection.heal().await.expect("healed");
    assert_eq!(report.felt.count, 2);
}

/// A restarted process is armed again a moment after it is ready.
async fn wait_until_armed(pipeline: &Arc<dyn Pipeline>, instance: &str, armed: bool) {
    let address = pipeline.address(instance, "http").expect("an address");
    let points = firedrill::mechanism::fail_points::FailPoints::at(address);
    let until = Instant::now() + SOON;
    while Instant::now() < until {
        let state = points.list().await.expect("the points").remove(POINT);
        if (state.expect("the point").action == "kill") == armed {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{instance} armed: {armed} did not come about");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_point_delays_and_fails_what_passes_it() {
    let pipeline = two_victims().await;
    let delay = fault(kind(&format!(
        r#"kind = "fail_point"
        instance = "worker-1"
        point = "{POINT}"
        action = "delay"
        delay_ms = 120"#
    )));
    let mut injection = inject(&delay, &pipeline, 1).await.expect("injected");
    let began = Instant::now();
    assert_eq!(answers(&pipeline, "worker-1", "/work").await, Some(200));
    assert!(began.elapsed() >= Duration::from_millis(120), "it bites");
    let began = Instant::now();
    assert_eq!(answers(&pipeline, "worker-2", "/work").await, Some(200));
    assert!(began.elapsed() < Duration::from_millis(120), "it spares");
    assert_eq!(injection.heal().await.expect("healed").felt.count, 1);
    let began = Instant::now();
    assert_eq!(answers(&pipeline, "worker-1", "/work").await, Some(200));
    assert!(began.elapsed() < Duration::from_millis(120), "it heals");

    let failing = fault(kind(&format!(
        r#"kind = "fail_point"
        instance = "worker-1"
        point = "{POINT}"
        action = "error"
        times = 1"#
    )));
    let mut injection = inject(&failing, &pipeline, 1).await.expect("injected");
    assert_eq!(answers(&pipeline, "worker-1", "/work").await, Some(500));
    assert_eq!(
        answers(&pipeline, "worker-1", "/work").await,
        Some(200),
        "once is enough"
    );
    assert_eq!(injection.heal().await.expect("healed").felt.count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misspelt_fail_point_is_told_with_the_nearest_name() {
    let pipeline = two_victims().await;
    let misspelt = fault(kind(
        r#"kind = "fail_point"
        component = "worker"
        point = "victim.in-the-midle"
        action = "error""#,
    ));
    let error = inject(&misspelt, &pipeline, 1)
        .await
        .expect_err("there is no such point");
    assert!(error.to_string().contains(POINT), "{error}");
}
