//! The order pipeline on the local testbed: it comes up, and all that its services say passes their links.

#![allow(clippy::print_stderr)] // times, for who runs it with --nocapture

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill::{
    testbed::{
        LinkSelector, PipelineRequest, Signal, Testbed,
        local::{LocalOptions, LocalTestbed},
    },
    topology::Topology,
};
use tokio_util::sync::CancellationToken;

fn request(drill: &str, directory: &Path) -> PipelineRequest {
    PipelineRequest {
        drill: drill.to_owned(),
        directory: directory.to_owned(),
        seed: 1,
        without: Vec::new(),
        settings: BTreeMap::new(),
        replicas: BTreeMap::new(),
        cancel: CancellationToken::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_pipeline_comes_up_behind_its_links() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let topology =
        Topology::load(&workspace.join("system-under-test/topology.toml")).expect("it is right");
    let links = topology.links();
    let logs = tempfile::tempdir().expect("a folder");
    let options = LocalOptions {
        progress: Arc::new(|line| eprintln!("{line}")),
        ..LocalOptions::new(Arc::new(topology)).expect("options")
    };
    let begun = Instant::now();
    let testbed = LocalTestbed::start(options).await.expect("a testbed");
    eprintln!("testbed up after {:?}", begun.elapsed());
    for drill in ["d0001", "d0002", "d0003"] {
        let begun = Instant::now();
        let pipeline = testbed
            .start(request(drill, logs.path()))
            .await
            .expect("a pipeline");
        eprintln!("{drill} up after {:?}", begun.elapsed());
        if drill == "d0003" {
            everything_passed_its_link(&*pipeline, &links).await;
            pipeline
                .signal("order-service-1", Signal::Kill)
                .await
                .expect("killed");
            pipeline.wait_for_exit("order-service-1", 0).await;
            pipeline
                .start_again("order-service-1")
                .await
                .expect("started");
            let begun = Instant::now();
            pipeline
                .ready("order-service-1", Duration::from_secs(10))
                .await
                .expect("ready");
            eprintln!("order-service-1 is ready again after {:?}", begun.elapsed());
        }
        let begun = Instant::now();
        pipeline.stop().await.expect("stopped");
        eprintln!("{drill} stopped after {:?}", begun.elapsed());
    }
    testbed.shut_down().await.expect("shut down");
}

/// Readiness needs the database and the broker, so every such link has been used by now.
async fn everything_passed_its_link(
    pipeline: &dyn firedrill::testbed::Pipeline,
    links: &[firedrill::topology::Link],
) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    for link in links {
        let selector = LinkSelector {
            client: link.client.clone(),
            server: link.server.component.clone(),
        };
        for proxy in pipeline.links(&selector).expect("it exists") {
            let url = format!("{}/firedrill/counters", proxy.api_url);
            let counters: serde_json::Value = client
                .get(url)
                .send()
                .await
                .expect("an answer")
                .json()
                .await
                .expect("JSON");
            let own = &counters[&proxy.name];
            assert!(own.is_object(), "{} has no proxy: {counters}", proxy.name);
            if ["postgres", "kafka"].contains(&proxy.server.as_str()) {
                assert!(
                    own["upstream_bytes"].as_u64() > Some(0),
                    "nothing passed {}: {own}",
                    proxy.name
                );
            }
        }
    }
}
