//! Faults of and around the payment provider, witnessed by its ledger and by its client.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use external_world::payment_provider::{Config, start};
use firedrill::{
    fault::{Witness, inject},
    testbed::{
        Pipeline,
        local::ports::{Port, Ports},
    },
    topology::Protocol,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::service::Service;
use service_testing::TestDatabase;

use super::{fault, felt_by, kind, pipeline::SmallPipeline, proxies::Proxies};

const SOON: Duration = Duration::from_secs(10);

/// A provider, and a merchant who reaches it through a link.
struct Stage {
    pipeline: Arc<dyn Pipeline>,
    merchant: reqwest::Client,
    through_the_link: SocketAddr,
    directly: SocketAddr,
    control: SocketAddr,
    provider: Service,
    _ports: [Port; 2],
    _database: TestDatabase,
    _proxies: Proxies,
}

impl Stage {
    async fn set() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let file = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.to_str().expect("text").to_owned()
        };
        let certificate_file = file("certificate.pem", certificate.cert.pem());
        let key_file = file("key.pem", certificate.signing_key.serialize_pem());
        let database = service_testing::database(&[]).await;
        let ports = [(); 2].map(|()| Ports::new().reserve().expect("a free port"));
        let (control, directly) = (ports[0].address(), ports[1].address());
        let provider = service_testing::start(
            "payment-provider",
            &[
                ("LISTEN_HTTP", &control.to_string()),
                ("LISTEN_PUBLIC", &directly.to_string()),
                ("CERTIFICATE_FILE", &certificate_file),
                ("PRIVATE_KEY_FILE", &key_file),
                ("DATABASE_URL", &database.url),
            ],
            Config::read,
            start,
        )
        .await;
        let authority = reqwest::Certificate::from_pem(certificate.cert.pem().as_bytes());
        let merchant = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority.expect("a certificate")])
            .timeout(Duration::from_secs(2))
            .build()
            .expect("a client");
        let proxies = Proxies::start().await;
        let wire = proxies
            .link(
                "merchant-1",
                "payment-provider-1",
                directly,
                Protocol::Https,
            )
            .await;
        let pipeline = SmallPipeline::default()
            .with_address("payment-provider-1", control)
            .with_link(wire.link)
            .share();
        Self {
            pipeline,
            merchant,
            through_the_link: wire.entry,
            directly,
            control,
            provider,
            _ports: ports,
            _database: database,
            _proxies: proxies,
        }
    }

    /// A charge; the answer's status, or none when there was no answer.
    async fn charge(&self, at: SocketAddr, reference: &str) -> Option<StatusCode> {
        let body = json!({ "reference": reference, "amount_minor": 1000, "currency": "EUR" });
        let answer = self
            .merchant
            .post(format!("https://{at}/charges"))
            .header("Idempotency-Key", reference)
            .json(&body)
            .send()
            .await
            .ok()?;
        Some(answer.status())
    }

    /// How many charges are booked, as the provider itself says.
    async fn booked(&self) -> usize {
        let url = format!("http://{}/control/ledger", self.control);
        let answer = self.merchant.get(url).send().await.expect("the ledger");
        let ledger: Value = answer.json().await.expect("the ledger is read");
        ledger["charges"].as_array().expect("charges").len()
    }

    async fn stop(self) {
        service_testing::stop(&self.provider).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_is_booked_although_its_answer_is_lost() {
    let stage = Stage::set().await;
    assert_eq!(
        stage.charge(stage.through_the_link, "before").await,
        Some(StatusCode::CREATED)
    );
    let cut = felt_by(
        kind("kind = \"connection_cut\"\nlink = \"merchant -> payment-provider\""),
        Witness::ChargesWithoutAnswer,
    );
    let mut injection = inject(&cut, &stage.pipeline, 1).await.expect("injected");
    assert_eq!(injection.felt().await.expect("a witness").count, 0);
    for number in 0..3 {
        let answer = stage
            .charge(stage.through_the_link, &format!("lost-{number}"))
            .await;
        assert_eq!(answer, None, "it bites");
    }
    let felt = injection.wait_until_felt(3, SOON).await.expect("a witness");
    assert_eq!(felt.count, 3);
    assert_eq!(
        stage.booked().await,
        4,
        "the requests went through, handshakes included"
    );
    // A repeated charge books nothing, so it is not one more charge without an answer.
    assert_eq!(stage.charge(stage.through_the_link, "lost-0").await, None);
    assert_eq!(injection.felt().await.expect("a witness").count, 3);
    assert_eq!(
        stage.charge(stage.directly, "spared").await,
        Some(StatusCode::CREATED)
    );
    injection.heal().await.expect("healed");
    assert_eq!(
        stage.charge(stage.through_the_link, "lost-0").await,
        Some(StatusCode::OK)
    );
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_fails_after_booking_as_often_as_it_was_told() {
    let stage = Stage::set().await;
    let script = fault(kind(
        r#"kind = "external_script"
        component = "payment-provider"
        behaviour = "fail_after_booking"
        status = 502
        request = "charge"
        times = 2"#,
    ));
    let mut injection = inject(&script, &stage.pipeline, 1).await.expect("injected");
    for number in 0..2 {
        let answer = stage
            .charge(stage.directly, &format!("failed-{number}"))
            .await;
        assert_eq!(answer, Some(StatusCode::BAD_GATEWAY), "it bites");
    }
    assert_eq!(stage.booked().await, 2, "both were booked");
    assert_eq!(
        stage.charge(stage.directly, "well").await,
        Some(StatusCode::CREATED)
    );
    assert_eq!(injection.heal().await.expect("healed").felt.count, 2);

    let script = fault(kind(
        r#"kind = "external_script"
        component = "payment-provider"
        behaviour = "fail_before_booking""#,
    ));
    let mut injection = inject(&script, &stage.pipeline, 1).await.expect("injected");
    let answer = stage.charge(stage.directly, "refused").await;
    assert_eq!(answer, Some(StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(stage.booked().await, 3, "nothing was booked");
    injection.heal().await.expect("healed");
    assert_eq!(
        stage.charge(stage.directly, "refused").await,
        Some(StatusCode::CREATED)
    );
    stage.stop().await;
}
