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
        LinkSelector, Pipeline, PipelineRequest, Signal, Testbed,
        local::{LocalOptions, LocalTestbed},
    },
    topology::{Link, Topology},
};
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

fn request(drill: &str, directory: &Path) -> PipelineRequest {
    PipelineRequest {
        drill: drill.to_owned(),
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
            sell_one(&*pipeline).await;
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

/// How long it may take until every link was used.
const USED_LIMIT: Duration = Duration::from_secs(20);
/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Sells one thing through the customers' own way in, and waits, bounded, until the order is final.
async fn sell_one(pipeline: &dyn Pipeline) {
    for (component, goods) in [
        (
            "order-service",
            "insert into products values ('p-0001', 1200, 'EUR')",
        ),
        (
            "inventory-service",
            "insert into stock values ('p-0001', 5, 5)",
        ),
    ] {
        let url = pipeline.database_url(component).expect("it has a database");
        let mut database = PgConnection::connect(&url).await.expect("connected");
        sqlx::query(goods)
            .execute(&mut database)
            .await
            .expect("inserted");
        database.close().await.expect("closed");
    }
    let authority = reqwest::Certificate::from_pem(pipeline.certificate_authority_pem().as_bytes());
    let customer = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority.expect("PEM")])
        .build()
        .expect("a client");
    let stock = customer
        .get(format!("{}/stock", pipeline.entry_url()))
        .send()
        .await
        .expect("an answer");
    assert_eq!(stock.status(), 200);
    let page = pipeline.page_url().expect("there is a page to shop in");
    let page = customer.get(page).send().await.expect("an answer");
    assert_eq!(page.status(), 200);
    let orders = format!("{}/orders", pipeline.entry_url());
    let order = serde_json::json!({
        "reference": "r-1", "customer_id": "c-1", "lines": [{ "product_id": "p-0001", "quantity": 2 }],
    });
    let identity = pipeline.identity_url().expect("somebody issues tokens");
    let who = serde_json::json!({ "customer_id": "c-1", "password": "secret" });
    let known = customer
        .post(format!("{identity}/token"))
        .json(&who)
        .send()
        .await
        .expect("an answer");
    let known: serde_json::Value = known.json().await.expect("JSON");
    let token = known["access_token"].as_str().expect("a token");
    let placed = customer
        .post(&orders)
        .bearer_auth(token)
        .header("Idempotency-Key", "k-1")
        .json(&order)
        .send()
        .await
        .expect("placed");
    assert_eq!(placed.status(), 201);
    let placed: serde_json::Value = placed.json().await.expect("JSON");
    let url = format!("{orders}/{}", placed["order_id"].as_str().expect("an id"));
    let final_state = async {
        let mut look = tokio::time::interval(Duration::from_millis(10));
        loop {
            look.tick().await;
            let order = customer.get(&url).bearer_auth(token).send().await;
            let order = order.expect("an answer");
            let order: serde_json::Value = order.json().await.expect("JSON");
            let state = order["state"].as_str().unwrap_or_default().to_owned();
            if ["fulfilled", "declined", "refunded", "cancelled"].contains(&state.as_str()) {
                return state;
            }
        }
    };
    let state = tokio::time::timeout(Duration::from_secs(20), final_state)
        .await
        .expect("it becomes final");
    assert_eq!(state, "fulfilled");
}

/// An order has gone all the way, so something has passed every link between components; and every instance that has a
/// database or a queue has used its own link to it.
async fn everything_passed_its_link(pipeline: &dyn Pipeline, links: &[Link]) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    for link in links {
        let selector = LinkSelector {
            client: link.client.clone(),
            server: link.server.component.clone(),
        };
        // What follows an order, such as a put into the data lake, comes a moment after it is final.
        let begun = Instant::now();
        while let Some(unused) = unused(&client, pipeline, &selector).await {
            assert!(begun.elapsed() < USED_LIMIT, "nothing passed {unused}");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

/// What nothing has passed yet: the link as a whole, or a proxy of one that is always used.
async fn unused(
    client: &reqwest::Client,
    pipeline: &dyn Pipeline,
    selector: &LinkSelector,
) -> Option<String> {
    let mut all_bytes = 0;
    for proxy in pipeline.links(selector).expect("it exists") {
        let url = format!("{}/firedrill/counters", proxy.api_url);
        let counters: serde_json::Value = client
            .get(url)
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        let bytes = counters[&proxy.name]["upstream_bytes"].as_u64();
        let bytes = bytes.unwrap_or_else(|| panic!("{} has no proxy: {counters}", proxy.name));
        let is_always_used = ["postgres", "kafka"].contains(&proxy.server.as_str());
        if bytes == 0 && is_always_used {
            return Some(proxy.name);
        }
        all_bytes += bytes;
    }
    (all_bytes == 0).then(|| format!("{} -> {}", selector.client, selector.server))
}
