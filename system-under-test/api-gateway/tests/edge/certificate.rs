//! The gateway's own certificate is renewed while it runs.

use reqwest::{Certificate, Client, Method, StatusCode};

use crate::gateway::{Files, Gateway, status};
use crate::instance::{Instance, Mood};

const QUICK: (&str, &str) = ("CERTIFICATE_RELOAD_MS", "10");

/// A customer who comes anew and trusts only this certificate: its status, or none when it refuses to send.
async fn comes_anew(gateway: &Gateway, trusted: &Certificate) -> Option<StatusCode> {
    let client = Client::builder()
        .tls_certs_only([trusted.clone()])
        .no_proxy()
        .build()
        .expect("a client");
    let request = client.get(format!("https://{}/products", gateway.address));
    request.send().await.ok().map(|answer| answer.status())
}

fn reloads(gateway: &Gateway, result: &str) -> bool {
    let line = format!("tls_certificate_reloads_total{{result=\"{result}\"}} 1");
    let text = gateway.service.metrics.text().expect("text");
    text.contains(&line)
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_connections_go_on() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[QUICK]).await;
    let products = || gateway.ask(Method::GET, "/products");
    assert_eq!(status(products()).await, StatusCode::CREATED);
    let (renewed, chain, key) = Files::renewed();
    assert_eq!(comes_anew(&gateway, &renewed).await, None);
    gateway.files.replace("cert.pem", &chain);
    gateway.files.replace("key.pem", &key);
    service_testing::eventually("new customers are shown the new one", async || {
        comes_anew(&gateway, &renewed).await == Some(StatusCode::CREATED)
    })
    .await;
    // This customer would refuse the new certificate: it goes on with the connection that it has.
    assert_eq!(status(products()).await, StatusCode::CREATED);
}

#[tokio::test]
async fn a_certificate_without_its_key_is_not_shown() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[QUICK]).await;
    let (renewed, chain, key) = Files::renewed();
    gateway.files.replace("cert.pem", &chain);
    service_testing::eventually("the half is refused", async || reloads(&gateway, "refused")).await;
    assert_eq!(comes_anew(&gateway, &renewed).await, None);
    let served = status(gateway.ask(Method::GET, "/products")).await;
    assert_eq!(served, StatusCode::CREATED);
    gateway.files.replace("key.pem", &key);
    service_testing::eventually("the whole is taken up", async || {
        reloads(&gateway, "taken_up")
    })
    .await;
    assert_eq!(
        comes_anew(&gateway, &renewed).await,
        Some(StatusCode::CREATED)
    );
}

#[tokio::test]
async fn without_the_defence_the_first_certificate_is_shown_for_ever() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [QUICK, ("DEFENCES_OFF", "gateway.certificate-reload")];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    let reloading = Gateway::start(&[instance.address], &[QUICK]).await;
    let (renewed, chain, key) = Files::renewed();
    for gateway in [&gateway, &reloading] {
        gateway.files.replace("cert.pem", &chain);
        gateway.files.replace("key.pem", &key);
    }
    service_testing::eventually("the other gateway shows the new one", async || {
        comes_anew(&reloading, &renewed).await.is_some()
    })
    .await;
    assert_eq!(comes_anew(&gateway, &renewed).await, None);
    assert!(!reloads(&gateway, "taken_up"));
}
