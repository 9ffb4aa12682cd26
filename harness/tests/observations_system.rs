//! The order pipeline's own observations on the order pipeline itself: every place can be read, orders come to rest, and
//! what is read then is judged to hold.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use firedrill::{
    system::{Observations, Observer, Product},
    testbed::{
        Pipeline, PipelineRequest, Testbed,
        local::{LocalOptions, LocalTestbed},
    },
    topology::Topology,
    workload::{Identity, Outside},
};
use firedrill_oracle::{
    DrillVerdict, History, judge,
    record::{
        DrillHeader, FactKind, JOURNAL_SCHEMA, Operation, OrderLine, Outcome, Record, Settlement,
    },
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const PRICE_MINOR: i64 = 250;
/// Time between two looks at what is outstanding.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long a few healthy orders may take on a busy machine.
const REST_LIMIT: Duration = Duration::from_secs(30);

fn product(number: usize) -> Product {
    Product {
        product_id: format!("p-{number:04}"),
        price_minor: PRICE_MINOR,
        currency: "EUR".to_owned(),
        units: 2,
    }
}

fn customer(pipeline: &dyn Pipeline) -> reqwest::Client {
    let authority = pipeline.certificate_authority_pem().as_bytes();
    let authority = reqwest::Certificate::from_pem(authority).unwrap();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .build()
        .unwrap()
}

/// Places an order for one unit; products are ordered more often than there are units.
async fn place(client: &reqwest::Client, url: &str, token: &str, number: usize) -> Operation {
    let reference = format!("r-{number}");
    let key = format!("k-{number}");
    let product_id = product(number % 3).product_id;
    let body = json!({
        "reference": reference,
        "customer_id": "c-1",
        "lines": [{"product_id": product_id, "quantity": 1}],
    });
    let answer = client
        .post(format!("{url}/orders"))
        .header("Idempotency-Key", &key)
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    let order: Value = serde_json::from_str(&text).unwrap();
    Operation {
        reference,
        attempt: 1,
        customer: "c-1".to_owned(),
        idempotency_key: Some(key),
        forged: None,
        started_us: 0,
        ended_us: 1,
        lines: vec![OrderLine {
            product_id,
            quantity: 1,
        }],
        amount_minor: PRICE_MINOR,
        outcome: Outcome::Done {
            order_id: order["order_id"].as_str().unwrap().to_owned(),
        },
    }
}

async fn wait_for_rest(observer: &Observer) {
    let rest = async {
        let mut quiet = 0;
        while quiet < 2 {
            let outstanding = observer.outstanding().await.unwrap();
            quiet = if outstanding.is_empty() { quiet + 1 } else { 0 };
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    if tokio::time::timeout(REST_LIMIT, rest).await.is_err() {
        panic!("not at rest: {:?}", observer.outstanding().await);
    }
}

fn header() -> Record {
    Record::Drill(DrillHeader {
        schema: JOURNAL_SCHEMA,
        feature: "test".to_owned(),
        line: 1,
        scenario: "test".to_owned(),
        failures: Vec::new(),
        seed: 1,
        testbed: "local".to_owned(),
        without: Vec::new(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_pipeline_is_observed_completely_and_every_promise_holds() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../system-under-test");
    let topology =
        Topology::load(&root.join("topology.toml")).unwrap_or_else(|found| panic!("{found}"));
    let observations = Observations::load(&root.join("observations.toml"), &topology);
    let observations = Arc::new(observations.unwrap_or_else(|found| panic!("{found}")));
    let folder = tempfile::tempdir().unwrap();
    let options = LocalOptions::new(Arc::new(topology)).unwrap();
    let testbed = LocalTestbed::start(options).await.unwrap();
    let request = PipelineRequest {
        drill: "d0001".to_owned(),
        directory: folder.path().to_owned(),
        seed: 1,
        without: Vec::new(),
        settings: BTreeMap::new(),
        replicas: BTreeMap::new(),
        in_background: false,
        cancel: CancellationToken::new(),
    };
    let pipeline = testbed.start(request).await.unwrap();
    let observer = Observer::new(Arc::clone(&pipeline), Arc::clone(&observations)).unwrap();

    for reading in observer.observe().await {
        assert_eq!(reading.error, None, "{}", reading.source);
        // Dashboards are built of nothing as well, and say so as soon as they are.
        if reading.kind != FactKind::DashboardClaim {
            assert_eq!(
                reading.kind == FactKind::Progress,
                !reading.facts.is_empty(),
                "{}",
                reading.source
            );
        }
    }
    let products: Vec<Product> = (0..3).map(product).collect();
    observer.arrange_products(&products).await.unwrap();
    let client = customer(pipeline.as_ref());
    let issuer = pipeline.identity_url().unwrap();
    let outside = Outside {
        certificate_authority_pem: pipeline.certificate_authority_pem().to_owned(),
        patience: REST_LIMIT,
        name_server: None,
        verifies: true,
    };
    let identity = Identity::new(&issuer, &outside, None).unwrap();
    let token = identity.token("c-1").await.unwrap();
    let mut records = vec![header()];
    for number in 0..9 {
        let operation = place(&client, &pipeline.entry_url(), &token, number).await;
        records.push(Record::Operation(operation));
    }
    wait_for_rest(&observer).await;
    records.push(Record::Settled {
        at_us: 2,
        outcome: Settlement::Settled,
        outstanding: Vec::new(),
    });
    records.extend(observations.group_records());
    let readings = observer.observe().await;
    records.extend(
        readings
            .into_iter()
            .flat_map(|reading| reading.into_records(3)),
    );
    let facts = records
        .iter()
        .filter(|record| matches!(record, Record::Fact(_)));
    let facts = facts.count() as u64;
    records.push(Record::Closed { at_us: 4, facts });

    let judgement = judge(&History::from_records(records));
    assert_eq!(judgement.verdict, DrillVerdict::Passed, "{judgement:#?}");
    assert_eq!(judgement.orders.refunded, 3, "{:?}", judgement.orders);
    observer.close().await;
    pipeline.stop().await.unwrap();
    testbed.shut_down().await.unwrap();
}
