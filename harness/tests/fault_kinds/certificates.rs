//! Faults of certificates, witnessed by clients who believe them or do not, and by what lies on the disk.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use firedrill::{
    fault::{Injection, Witness, inject},
    testbed::{Pipeline, Signal, local::certificates::Certificates},
    topology::Protocol,
};
use reqwest::{Certificate, StatusCode};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{fault, kind, pipeline::SmallPipeline, proxies::Proxies};

const SOON: Duration = Duration::from_secs(10);

/// A server that shows a certificate, and two clients of it.
struct Stage {
    pipeline: Arc<dyn Pipeline>,
    certificates: Arc<Certificates>,
    shop: SocketAddr,
    desk: SocketAddr,
    _proxies: Proxies,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn set(reloads: bool) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let made = Certificates::make(folder.path(), "d0001", ["shop", "desk", "store"]);
        let certificates = Arc::new(made.expect("certificates"));
        let (pipeline, server) = SmallPipeline::default()
            .with_tls_victim("store", &certificates, reloads)
            .await;
        let proxies = Proxies::start().await;
        let link = async |client: &str| {
            proxies
                .link(client, "store-1", server, Protocol::Https)
                .await
        };
        let (shop, desk) = (link("shop-1").await, link("desk-1").await);
        let pipeline = pipeline.with_link(shop.link).with_link(desk.link).share();
        Self {
            pipeline,
            certificates,
            shop: shop.entry,
            desk: desk.entry,
            _proxies: proxies,
            _folder: folder,
        }
    }

    async fn inject(&self, profile: &str) -> Injection {
        let profile = format!("link = \"shop -> store\"\n{profile}");
        inject(&fault(kind(&profile)), &self.pipeline, 1)
            .await
            .expect("injected")
    }

    /// Comes anew and trusts whom this component is told to trust: the answer's status, or why nothing was sent.
    async fn comes_anew(&self, entry: SocketAddr, as_told: &str) -> Result<StatusCode, String> {
        let files = self.certificates.files(as_told).expect("its files");
        let bundle = std::fs::read(&files.trusted).expect("its bundle");
        let trusted = Certificate::from_pem_bundle(&bundle).expect("PEM");
        ask(reqwest::Client::builder().tls_certs_only(trusted), entry).await
    }

    async fn shop_is_served(&self) {
        let served = self.comes_anew(self.shop, "shop").await;
        assert_eq!(served, Ok(StatusCode::OK));
    }
}

async fn ask(client: reqwest::ClientBuilder, entry: SocketAddr) -> Result<StatusCode, String> {
    let client = client.no_proxy().timeout(SOON).build().expect("a client");
    let answer = client.get(format!("https://{entry}/work")).send().await;
    answer.map(|answer| answer.status()).map_err(|error| {
        assert!(error.is_connect(), "nothing was sent: {error:?}");
        format!("{error:?}")
    })
}

/// Whether a connection on which nothing was said has been cut.
async fn is_cut(mut connection: TcpStream) -> bool {
    let mut nothing = [0; 8];
    let end = connection.read(&mut nothing);
    // What is cut was cut before the injection returned.
    tokio::time::timeout(Duration::from_millis(200), end)
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_to_be_believed_is_shown_until_it_heals() {
    let stage = Stage::set(true).await;
    for (wrong, why) in [
        ("expired", "Expired"),
        ("wrong_host", "NotValidForName"),
        ("untrusted", "UnknownIssuer"),
    ] {
        stage.shop_is_served().await;
        let of_shop = TcpStream::connect(stage.shop).await.expect("a connection");
        let of_desk = TcpStream::connect(stage.desk).await.expect("a connection");
        let profile = format!("kind = \"certificate_replaced\"\ncertificate = \"{wrong}\"");
        let mut injection = stage.inject(&profile).await;
        assert_eq!(injection.felt().await.expect("a witness").count, 0);
        assert!(is_cut(of_shop).await, "its client must shake hands again");
        assert!(!is_cut(of_desk).await, "it spares");
        let refused = stage.comes_anew(stage.shop, "shop").await;
        let refused = refused.expect_err("it bites");
        assert!(refused.contains(why), "{refused}");
        let felt = injection.wait_until_felt(1, SOON).await.expect("a witness");
        assert_eq!((felt.witness, felt.count), (Witness::HandshakesRefused, 1));
        let credulous = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
        assert_eq!(ask(credulous, stage.shop).await, Ok(StatusCode::OK));
        let report = injection.heal().await.expect("healed");
        assert_eq!(report.restored, ["store-1 shows its own certificate"]);
        assert_eq!(report.trusted, Some(1), "one client believed it");
        assert_eq!(report.felt.count, 1);
    }
    stage.shop_is_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_taken_up_is_an_error_and_no_fault() {
    let stage = Stage::set(false).await;
    let profile =
        "kind = \"certificate_replaced\"\nlink = \"shop -> store\"\ncertificate = \"expired\"";
    let error = inject(&fault(kind(profile)), &stage.pipeline, 1)
        .await
        .expect_err("it is never shown");
    let said = error.to_string();
    assert!(
        said.contains("does it read its certificate again"),
        "{said}"
    );
    stage.shop_is_served().await;
    // What lies on the disk is the right one again: it is what a restart shows.
    let seen = stage.pipeline.exits("store-1").len();
    let killed = stage.pipeline.signal("store-1", Signal::Kill).await;
    killed.expect("it ran");
    stage.pipeline.wait_for_exit("store-1", seen).await;
    let started = stage.pipeline.start_again("store-1").await;
    started.expect("it starts");
    let ready = stage.pipeline.ready("store-1", SOON).await;
    ready.expect("it is ready");
    stage.shop_is_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_authority_is_unknown_to_the_clients_of_the_link_until_it_heals() {
    let stage = Stage::set(true).await;
    stage.shop_is_served().await;
    let mut injection = stage.inject("kind = \"authority_replaced\"").await;
    let refused = stage.comes_anew(stage.shop, "shop").await;
    let refused = refused.expect_err("it bites");
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    let felt = injection.wait_until_felt(1, SOON).await.expect("a witness");
    assert_eq!(felt.count, 1);
    let report = injection.heal().await.expect("healed");
    assert_eq!(report.trusted, Some(0));
    stage.shop_is_served().await;
    // The desk has not been told, and the old authority answers for nobody here any more.
    assert!(stage.comes_anew(stage.shop, "desk").await.is_err());
    // Whatever happens later happens to a server that has moved.
    let profile = "kind = \"certificate_replaced\"\ncertificate = \"expired\"";
    let mut injection = stage.inject(profile).await;
    assert!(stage.comes_anew(stage.shop, "shop").await.is_err());
    injection.heal().await.expect("healed");
    stage.shop_is_served().await;
}

const EXPIRES: &str = "kind = \"certificate_expires\"\nafter_s = 1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_expires_is_renewed_where_the_server_looks_for_it() {
    let stage = Stage::set(true).await;
    let of_desk = TcpStream::connect(stage.desk).await.expect("a connection");
    let mut injection = stage.inject(EXPIRES).await;
    assert!(is_cut(of_desk).await, "the server was started anew");
    assert_eq!(injection.felt().await.expect("a witness").count, 0);
    stage.shop_is_served().await;
    let felt = injection.wait_until_felt(1, SOON).await.expect("a witness");
    assert_eq!((felt.witness, felt.count), (Witness::HandshakesFinished, 1));
    let report = injection.heal().await.expect("healed");
    assert_eq!(report.restored, ["store-1 shows its renewed certificate"]);
    stage.shop_is_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_expires_ends_a_server_that_does_not_look() {
    let stage = Stage::set(false).await;
    let mut injection = stage.inject(EXPIRES).await;
    let refused = stage.comes_anew(stage.shop, "shop").await;
    let refused = refused.expect_err("it bites");
    assert!(refused.contains("Expired"), "{refused}");
    let report = injection.heal().await.expect("healed");
    let words = "store-1 shows its renewed certificate, after it was started again";
    assert_eq!(report.restored, [words]);
    assert_eq!(report.felt.count, 0, "nobody was served");
    stage.shop_is_served().await;
}
