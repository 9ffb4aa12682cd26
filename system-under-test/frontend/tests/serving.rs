//! The program as a browser meets it: over TLS, with every file, and with what a browser is told to refuse.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use frontend::config::Config;
use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::Value;
use service_kit::service::{Common, Service};
use service_kit::settings::Settings;
use tempfile::TempDir;

struct Shop {
    service: Service,
    address: SocketAddr,
    client: reqwest::Client,
    _files: TempDir,
}

fn certificate(folder: &Path) -> String {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    let loopback = SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST));
    params.subject_alt_names.push(loopback);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    std::fs::write(folder.join("shop.pem"), &certificate).expect("written");
    std::fs::write(folder.join("shop.key"), key.serialize_pem()).expect("written");
    certificate
}

async fn open(more: &[(&str, &str)]) -> Shop {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let files = tempfile::tempdir().expect("a folder");
    let authority = certificate(files.path());
    let path = |name: &str| files.path().join(name).display().to_string();
    let mut values = vec![
        ("INSTANCE".to_owned(), "frontend-1".to_owned()),
        ("LISTEN_HTTP".to_owned(), "127.0.0.1:0".to_owned()),
        ("LISTEN_PUBLIC".to_owned(), "127.0.0.1:0".to_owned()),
        ("CERTIFICATE_FILE".to_owned(), path("shop.pem")),
        ("PRIVATE_KEY_FILE".to_owned(), path("shop.key")),
        (
            "GATEWAY_URL".to_owned(),
            "https://127.0.0.1:9443".to_owned(),
        ),
    ];
    let more = more
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    values.extend(more);
    let read = |settings: &mut Settings| (Common::read(settings), Config::read(settings));
    let (common, config) = Settings::read(values, read).expect("good settings");
    let service = Service::new(frontend::NAME, common);
    let address = frontend::serve(config, &service).await.expect("it serves");
    service.health.mark_started();
    let authority = reqwest::Certificate::from_pem(authority.as_bytes()).expect("PEM");
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority]);
    Shop {
        service,
        address,
        client: client.build().expect("a client"),
        _files: files,
    }
}

impl Shop {
    async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("https://{}{path}", self.address);
        self.client.get(url).send().await.expect("an answer")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_that_the_page_names_is_served_and_nothing_runs_inside_it() {
    let shop = open(&[]).await;
    let answer = shop.get("/").await;
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .expect("text")
        .to_owned();
    for part in [
        "default-src 'none'",
        "script-src 'self';",
        "style-src 'self';",
        "connect-src 'self' https://127.0.0.1:9443 ;",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let page = answer.text().await.expect("text");
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick="));
    let mut named: Vec<String> = Vec::new();
    for (_, rest) in page
        .match_indices("=\"/")
        .map(|(at, _)| (at, &page[at + 2..]))
    {
        named.extend(rest.split_once('"').map(|(path, _)| path.to_owned()));
    }
    for file in frontend::page::FILES {
        for (at, _) in file.text.match_indices("from \"./") {
            let name = file.text[at + 8..].split_once('"').expect("an end").0;
            named.push(format!("/{name}"));
        }
    }
    assert!(named.len() > 10, "{named:?}");
    for path in named {
        let answer = shop.get(&path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let kind = answer.headers()["content-type"]
            .to_str()
            .expect("text")
            .to_owned();
        assert!(
            kind.starts_with("text/") || kind == "image/svg+xml",
            "{path}: {kind}"
        );
    }
    assert_eq!(shop.get("/nothing").await.status(), 404);
    service_testing::stop(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_told_where_to_order_and_which_protections_are_on() {
    let shop = open(&[
        ("DEFENCES_OFF", "frontend.retry-same-key,order.outbox"),
        ("IDENTITY_URL", "https://127.0.0.1:9444"),
        ("PAY_TIMEOUT_MS", "1500"),
    ])
    .await;
    let config: Value = shop.get("/config.json").await.json().await.expect("JSON");
    assert_eq!(config["gateway_url"], "https://127.0.0.1:9443");
    assert_eq!(config["identity_url"], "https://127.0.0.1:9444");
    assert_eq!(config["pay_timeout_ms"], 1500);
    assert_eq!(
        (
            &config["retry_same_key"],
            &config["backoff_on_429"],
            &config["revalidate_cache"]
        ),
        (&Value::from(false), &Value::from(true), &Value::from(true))
    );
    service_testing::stop(&shop.service).await;
}
