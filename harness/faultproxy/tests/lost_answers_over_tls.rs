//! `lose_answer` on real HTTP over real TLS: the server did the work, the client has no answer, and the counter is
//! exact. The server's own ledger and the client's own errors are the witnesses.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::routing::{get, post};
use axum_server::tls_rustls::RustlsConfig;
use faultproxy::{FaultProxy, Protocol, Stream, Toxic, ToxicKind};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::Certificate;
use reqwest::tls::Version;
use support::{proxy, until};

/// An HTTPS server that books what it is asked to, and the certificate that its clients trust.
struct Provider {
    address: SocketAddr,
    certificate: Certificate,
    ledger: Arc<Mutex<Vec<String>>>,
}

/// What the tests vary about the server.
#[derive(Clone, Copy)]
struct Server {
    tickets: usize,
    http2: bool,
    /// How long it works on a request.
    work: Duration,
}

const USUAL: Server = Server {
    tickets: 2,
    http2: false,
    work: Duration::ZERO,
};

impl Provider {
    async fn start(server: Server) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
                .expect("a certificate");
        let key = signing_key.serialize_der().try_into().expect("a key");
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("key and certificate fit");
        config.send_tls13_tickets = server.tickets;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if server.http2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        let ledger: Arc<Mutex<Vec<String>>> = Arc::default();
        let book = Arc::clone(&ledger);
        let charge = move |body: String| async move {
            tokio::time::sleep(server.work).await;
            book.lock()
                .expect("no panic inside")
                .push(body.chars().take(40).collect());
            format!(
                "{{\"status\":\"succeeded\",\"reference\":\"{}\"}}",
                body.len()
            )
        };
        let routes = axum::Router::new()
            .route("/charges", post(charge))
            .route("/health", get(|| async { "fine" }))
            .layer(axum::extract::DefaultBodyLimit::disable());
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a setting");
        let address = listener.local_addr().expect("its address");
        let serving =
            axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config)))
                .expect("a server")
                .serve(routes.into_make_service());
        tokio::spawn(serving);
        let certificate = Certificate::from_der(cert.der()).expect("a certificate");
        Self {
            address,
            certificate,
            ledger,
        }
    }

    fn booked(&self) -> usize {
        self.ledger.lock().expect("no panic inside").len()
    }

    fn client(&self, version: Version, http2: bool) -> reqwest::Client {
        let builder = reqwest::Client::builder()
            .tls_certs_only([self.certificate.clone()])
            .tls_version_min(version)
            .tls_version_max(version)
            .no_proxy()
            .timeout(support::LIMIT);
        let builder = if http2 { builder } else { builder.http1_only() };
        builder.build().expect("a client")
    }
}

async fn charge(
    client: &reqwest::Client,
    proxy: &FaultProxy,
    body: String,
) -> Result<String, reqwest::Error> {
    let url = format!("https://{}/charges", proxy.address());
    client
        .post(url)
        .body(body)
        .send()
        .await?
        .error_for_status()?
        .text()
        .await
}

fn lose(times: Option<u64>, after_requests: u64) -> Toxic {
    let kind = ToxicKind::LoseAnswer {
        protocol: Protocol::Tls,
        after_requests,
        share: 1.0,
        times,
        min_answer_bytes: None,
        drain_ms: 500,
    };
    Toxic::new(kind, Stream::Downstream)
}

/// Warm and fresh connections lose exactly the answers of the requests that were booked.
async fn answers_are_lost_exactly(version: Version, server: Server, body_bytes: usize) {
    let provider = Provider::start(server).await;
    let (hurt, other) = (
        proxy("hurt", provider.address).await,
        proxy("other", provider.address).await,
    );
    let client = provider.client(version, server.http2);
    let body = |n: usize| format!("charge {n} {}", "x".repeat(body_bytes));
    // Until a connection is used again, so that the first answer is lost on one that was open before.
    let mut healthy = 0;
    loop {
        let connections = hurt.counters().accepted;
        charge(&client, &hurt, body(healthy))
            .await
            .expect("healthy");
        healthy += 1;
        if connections > 0 && hurt.counters().accepted == connections {
            break;
        }
        assert!(healthy < 50, "the client keeps no connection alive");
    }
    let toxic = hurt.add_toxic(lose(Some(6), 0)).expect("a new name");
    for n in 0..6 {
        let lost = charge(&client, &hurt, body(n))
            .await
            .expect_err("its answer is lost");
        assert!(
            !lost.is_connect() && !lost.is_timeout(),
            "the request was sent, then the connection ended: {lost:?}"
        );
        let booked = healthy + n + 1;
        until("the server has booked it", || provider.booked() == booked).await;
        assert_eq!(toxic.counts().answers_lost, n as u64 + 1);
        charge(&client, &other, body(n))
            .await
            .map(drop)
            .expect("another link is spared");
        provider.ledger.lock().expect("no panic inside").pop();
    }
    // Six were to be lost; the toxic stands, and the seventh is answered.
    for n in 0..3 {
        charge(&client, &hurt, body(n))
            .await
            .expect("no more answers are lost");
    }
    hurt.remove_toxic("lose_answer_downstream")
        .expect("it is there");
    charge(&client, &hurt, body(9)).await.expect("healed");
    assert_eq!(toxic.counts().answers_lost, 6);
    assert_eq!(toxic.counts().connections_cut, 6);
    assert_eq!(provider.booked(), healthy + 6 + 3 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_3_with_session_tickets() {
    answers_are_lost_exactly(Version::TLS_1_3, USUAL, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_3_without_session_tickets() {
    answers_are_lost_exactly(
        Version::TLS_1_3,
        Server {
            tickets: 0,
            ..USUAL
        },
        10,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_3_with_a_request_of_many_records_and_slow_work() {
    let server = Server {
        work: Duration::from_millis(40),
        ..USUAL
    };
    answers_are_lost_exactly(Version::TLS_1_3, server, 200_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_2() {
    answers_are_lost_exactly(Version::TLS_1_2, USUAL, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_over_tls_1_3() {
    let server = Server {
        http2: true,
        work: Duration::from_millis(20),
        ..USUAL
    };
    answers_are_lost_exactly(Version::TLS_1_3, server, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_requests_of_each_connection_may_be_answered() {
    let provider = Provider::start(USUAL).await;
    let proxy = proxy("third", provider.address).await;
    let client = provider.client(Version::TLS_1_3, false);
    let toxic = proxy.add_toxic(lose(None, 2)).expect("a new name");
    let mut lost = 0;
    for n in 0..9 {
        lost += u64::from(
            charge(&client, &proxy, format!("charge {n}"))
                .await
                .is_err(),
        );
    }
    // The client may have opened a second connection before the first was free again.
    assert!(
        (2..=3).contains(&lost),
        "{lost} of 9 answers lost, two on each connection are to be spared"
    );
    until("all are booked", || provider.booked() == 9).await;
    assert_eq!(toxic.counts().answers_lost, lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_lose_exactly_as_many_answers_as_the_share_takes() {
    let provider = Provider::start(USUAL).await;
    let proxy = proxy("share", provider.address).await;
    let kind = ToxicKind::LoseAnswer {
        protocol: Protocol::Auto,
        after_requests: 0,
        share: 0.5,
        times: None,
        min_answer_bytes: None,
        drain_ms: 200,
    };
    let toxic = proxy
        .add_toxic(Toxic::new(kind, Stream::Downstream))
        .expect("a new name");
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..8 {
        let (client, proxy) = (provider.client(Version::TLS_1_3, false), Arc::clone(&proxy));
        tasks.spawn(async move {
            let mut lost = 0;
            for n in 0..10 {
                lost += u64::from(
                    charge(&client, &proxy, format!("charge {worker} {n}"))
                        .await
                        .is_err(),
                );
            }
            lost
        });
    }
    let lost: u64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(toxic.counts().answers_lost, lost);
    assert!((20..=60).contains(&lost), "{lost} of 80 at a share of 0.5");
    until("all are booked", || provider.booked() == 80).await;
    tokio::time::timeout(support::LIMIT, proxy.shutdown())
        .await
        .expect("it ends");
    assert_eq!(provider.booked(), 80, "each was booked once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_without_tls_are_not_concerned_by_a_toxic_for_tls() {
    let server = support::Server::echo().await;
    let proxy = proxy("plain", server.address).await;
    let toxic = proxy.add_toxic(lose(None, 0)).expect("a new name");
    let mut socket = support::connect(&proxy).await;
    support::echoed(&mut socket, "one").await;
    support::echoed(&mut socket, "two").await;
    assert_eq!(toxic.counts().acted, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_are_counted_by_how_clients_end_them() {
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        let provider = Provider::start(USUAL).await;
        let stranger = Provider::start(USUAL).await;
        let link = proxy("shown", provider.address).await;
        let believing = provider.client(version, false);
        let charged = charge(&believing, &link, "charge 1".to_owned()).await;
        charged.expect("it is believed");
        let refusing = stranger.client(version, false);
        for _ in 0..2 {
            let refused = charge(&refusing, &link, "charge 2".to_owned()).await;
            assert!(refused.expect_err("it is not believed").is_connect());
        }
        until("both refusals are counted", || {
            link.counters().handshakes_refused == 2
        })
        .await;
        assert_eq!(link.counters().handshakes_finished, 1);
        assert_eq!(provider.booked(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_nobody_ends_is_neither_finished_nor_refused() {
    let provider = Provider::start(USUAL).await;
    let link = proxy("silent", provider.address).await;
    drop(support::connect(&link).await);
    until("the connection is over", || {
        let counters = link.counters();
        counters.accepted == 1 && counters.open == 0
    })
    .await;
    let counters = link.counters();
    assert_eq!(counters.handshakes_finished, 0);
    assert_eq!(counters.handshakes_refused, 0);
}
