//! Every checked-in profile can be injected into the order pipeline itself and healed again, and leaves it whole.

#![allow(clippy::print_stderr)] // times, for who runs it with --nocapture

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill::{
    fault::inject,
    profile::{Content, Profiles},
    system::{Observations, Observer},
    testbed::{
        Pipeline, PipelineRequest, Testbed,
        local::{LocalOptions, LocalTestbed},
    },
    topology::Topology,
    workload::{Assortment, Client, Generator, Identity, Outside, outcome},
};
use firedrill_oracle::record::Outcome;
use tokio_util::sync::CancellationToken;

/// These are felt even when no customer orders anything.
const FELT_AT_REST: &[&str] = &[
    "gateway-evicted",
    "order-instance-killed",
    "order-queue-link-down",
    "payment-frozen",
    "payment-instances-evicted",
    "payment-killed-at-random",
    "queue-unavailable",
];
const SOON: Duration = Duration::from_secs(20);

fn request(directory: &Path) -> PipelineRequest {
    PipelineRequest {
        drill: "d0001".to_owned(),
        directory: directory.to_owned(),
        seed: 1,
        without: Vec::new(),
        settings: BTreeMap::new(),
        replicas: BTreeMap::new(),
        in_background: false,
        cancel: CancellationToken::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_profile_can_be_injected_into_the_order_pipeline_and_healed() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let topology = Topology::load(&workspace.join("system-under-test/topology.toml"));
    let topology = Arc::new(topology.expect("the topology is right"));
    let profiles = Profiles::load(&workspace.join("fault-profiles"), &topology);
    let profiles = profiles.expect("the profiles are right");
    let logs = tempfile::tempdir().expect("a folder");
    let options = LocalOptions {
        progress: Arc::new(|line| eprintln!("{line}")),
        names_for_customers: true,
        ..LocalOptions::new(Arc::clone(&topology)).expect("options")
    };
    let testbed = LocalTestbed::start(options).await.expect("a testbed");
    let pipeline = testbed
        .start(request(logs.path()))
        .await
        .expect("a pipeline");
    let observations = workspace.join("system-under-test/observations.toml");
    let observations = Observations::load(&observations, &topology).expect("they are right");
    sell_something(&pipeline, observations).await;
    let mut failures = Vec::new();
    for profile in profiles.iter() {
        // Sequences consist of profiles that have their own turn.
        if let Content::Fault(fault) = &profile.content {
            let began = Instant::now();
            if let Err(failure) = hurt_and_heal(&pipeline, fault).await {
                failures.push(format!("{}: {failure}", profile.name));
            }
            eprintln!("{}: {:?}", profile.name, began.elapsed());
        }
    }
    for component in topology.started() {
        for instance in pipeline.instances(&component.name) {
            if let Err(failure) = pipeline.ready(&instance, SOON).await {
                failures.push(failure.to_string());
            }
        }
    }
    pipeline.stop().await.expect("stopped");
    testbed.shut_down().await.expect("shut down");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

async fn hurt_and_heal(
    pipeline: &Arc<dyn Pipeline>,
    fault: &firedrill::fault::Fault,
) -> Result<(), String> {
    let injected = inject(fault, pipeline, 1).await;
    let mut injection = injected.map_err(|error| error.to_string())?;
    let is_felt = FELT_AT_REST.contains(&fault.name.as_str());
    let felt = if is_felt {
        let times = fault.felt.at_least;
        injection.wait_until_felt(times, SOON).await
    } else {
        injection.felt().await
    };
    let report = injection.heal().await.map_err(|error| error.to_string())?;
    let felt = felt.map_err(|error| error.to_string())?;
    if is_felt && !felt.is_enough() {
        return Err(format!("not felt: {felt:?}"));
    }
    if report.restored.is_empty() {
        return Err("healing restored nothing".to_owned());
    }
    Ok(())
}

/// Orders that have come to rest: rows to lock, and messages in every topic that others can be made of.
async fn sell_something(pipeline: &Arc<dyn Pipeline>, observations: Observations) {
    let observer = Observer::new(pipeline.clone(), Arc::new(observations)).expect("an observer");
    let assortment = Assortment::new(40, 100, 1);
    let arranged = observer.arrange_products(&assortment.products).await;
    arranged.expect("products");
    let outside = Outside {
        certificate_authority_pem: pipeline.certificate_authority_pem().to_owned(),
        patience: SOON,
        name_server: pipeline.customers_name_server(),
        verifies: true,
    };
    let client = Client::new(&pipeline.entry_url(), &outside).expect("a client");
    let issuer = pipeline.identity_url().expect("an issuer of tokens");
    let identity = Identity::new(&issuer, &outside, None).expect("an identity");
    let mut generator = Generator::new(1, assortment, "r");
    for _ in 0..4 {
        let intent = generator.next_intent(true, 2);
        let token = identity.token(&intent.customer).await.expect("a token");
        let (seen, _) = client.place_order(&intent, 0, Some(&token)).await;
        let outcome = outcome::decide(seen);
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    }
    let rest = async {
        while !observer
            .outstanding()
            .await
            .expect("it can be asked")
            .is_empty()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let rested = tokio::time::timeout(SOON, rest).await;
    rested.expect("the orders come to rest");
    observer.close().await;
}
