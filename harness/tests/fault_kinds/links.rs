//! Faults of links, witnessed by a client's stopwatch and by what the server was asked.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill::{
    fault::{Injection, inject},
    testbed::Pipeline,
    topology::Protocol,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    fault, kind,
    pipeline::SmallPipeline,
    proxies::{Counting, Proxies},
    victim::get,
};

const SOON: Duration = Duration::from_secs(10);

/// Two clients of one server, each with its own link.
struct Stage {
    pipeline: Arc<dyn Pipeline>,
    hurt: SocketAddr,
    spared: SocketAddr,
    server: Counting,
    _proxies: Proxies,
}

impl Stage {
    async fn set() -> Self {
        let server = Counting::default();
        let upstream = server.serve().await;
        let proxies = Proxies::start().await;
        let hurt = proxies
            .link("shop-1", "store-1", upstream, Protocol::Http)
            .await;
        let spared = proxies
            .link("desk-1", "store-1", upstream, Protocol::Http)
            .await;
        let pipeline = SmallPipeline::default()
            .with_link(hurt.link)
            .with_link(spared.link)
            .share();
        Self {
            pipeline,
            hurt: hurt.entry,
            spared: spared.entry,
            server,
            _proxies: proxies,
        }
    }

    /// Injects a fault on the link `shop -> store`.
    async fn inject(&self, profile: &str) -> Injection {
        let profile = format!("link = \"shop -> store\"\n{profile}");
        inject(&fault(kind(&profile)), &self.pipeline, 1)
            .await
            .expect("injected")
    }

    /// How long the answer to a client took; none when there was no answer.
    async fn answer_time(&self, entry: SocketAddr) -> Option<Duration> {
        let began = Instant::now();
        (get(entry, "/work").await? == 200).then(|| began.elapsed())
    }

    async fn everything_is_as_before(&self) {
        for entry in [self.hurt, self.spared] {
            let took = self.answer_time(entry).await.expect("an answer");
            assert!(took < Duration::from_millis(150), "{took:?}");
        }
    }
}

/// A connection that says something and stays open.
async fn open(entry: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(entry).await.expect("a connection");
    ask(&mut stream).await;
    let mut answer = [0; 1024];
    let read = stream.read(&mut answer).await.expect("an answer");
    assert!(read > 0);
    stream
}

async fn ask(stream: &mut TcpStream) {
    let asked = stream
        .write_all(b"GET /work HTTP/1.1\r\nhost: store\r\n\r\n")
        .await;
    asked.expect("the question is sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latency_makes_one_link_slow() {
    let stage = Stage::set().await;
    let mut injection = stage
        .inject("kind = \"latency\"\ndirection = \"answers\"\ndelay_ms = 200")
        .await;
    assert_eq!(
        injection.felt().await.expect("a witness").count,
        0,
        "not felt before it is used"
    );
    let took = stage.answer_time(stage.hurt).await.expect("an answer");
    assert!(took >= Duration::from_millis(200), "it bites: {took:?}");
    let took = stage.answer_time(stage.spared).await.expect("an answer");
    assert!(took < Duration::from_millis(150), "it spares: {took:?}");
    let report = injection.heal().await.expect("healed");
    assert!(report.felt.count >= 1);
    stage.everything_is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_stops_leaves_the_client_waiting() {
    let stage = Stage::set().await;
    let mut injection = stage.inject("kind = \"connection_timeout\"").await;
    assert_eq!(stage.answer_time(stage.hurt).await, None, "it bites");
    assert_eq!(stage.server.asked(), 0, "nothing came through");
    assert!(stage.answer_time(stage.spared).await.is_some(), "it spares");
    assert!(injection.heal().await.expect("healed").felt.is_enough());
    stage.everything_is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_ends_open_connections() {
    let stage = Stage::set().await;
    let mut before = open(stage.hurt).await;
    let mut spared = open(stage.spared).await;
    let mut injection = stage.inject("kind = \"connection_reset\"").await;
    ask(&mut before).await;
    let error = before.read(&mut [0; 64]).await.expect_err("it bites");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    ask(&mut spared).await;
    assert!(spared.read(&mut [0; 64]).await.expect("it spares") > 0);
    assert_eq!(injection.heal().await.expect("healed").felt.count, 1);
    stage.everything_is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_answer_was_asked_for_all_the_same() {
    let stage = Stage::set().await;
    let mut injection = stage.inject("kind = \"connection_cut\"\ntimes = 3").await;
    for number in 1..=3 {
        assert_eq!(stage.answer_time(stage.hurt).await, None, "it bites");
        assert_eq!(stage.server.asked(), number, "the request went through");
    }
    assert!(
        stage.answer_time(stage.hurt).await.is_some(),
        "three times are enough"
    );
    assert!(stage.answer_time(stage.spared).await.is_some(), "it spares");
    let felt = injection.wait_until_felt(3, SOON).await.expect("a witness");
    assert_eq!(felt.count, 3);
    assert_eq!(injection.heal().await.expect("healed").felt.count, 3);
    stage.everything_is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_request_never_arrives() {
    let stage = Stage::set().await;
    let mut injection = stage
        .inject("kind = \"connection_cut\"\ndirection = \"requests\"\nafter_bytes = 10")
        .await;
    assert_eq!(stage.answer_time(stage.hurt).await, None, "it bites");
    assert_eq!(stage.server.asked(), 0, "half a request is none");
    assert!(stage.answer_time(stage.spared).await.is_some(), "it spares");
    assert!(
        !injection.felt().await.expect("a witness").is_enough(),
        "no answer was lost"
    );
    injection.heal().await.expect("healed");
    stage.everything_is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_down_cuts_and_refuses() {
    let stage = Stage::set().await;
    let mut before = open(stage.hurt).await;
    let mut injection = stage.inject("kind = \"link_down\"").await;
    let ended = tokio::time::timeout(SOON, before.read(&mut [0; 64]))
        .await
        .expect("it ends");
    assert!(!matches!(ended, Ok(1..)), "open connections are cut");
    let refused = TcpStream::connect(stage.hurt).await.expect_err("it bites");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(stage.answer_time(stage.spared).await.is_some(), "it spares");
    assert_eq!(injection.heal().await.expect("healed").felt.count, 1);
    stage.everything_is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_faults_on_one_link_heal_one_by_one() {
    let stage = Stage::set().await;
    let mut slow = stage
        .inject("kind = \"latency\"\ndirection = \"answers\"\ndelay_ms = 120")
        .await;
    let mut slower = stage
        .inject("kind = \"latency\"\ndirection = \"requests\"\ndelay_ms = 120")
        .await;
    let took = stage.answer_time(stage.hurt).await.expect("an answer");
    assert!(took >= Duration::from_millis(240), "{took:?}");
    slow.heal().await.expect("healed");
    let took = stage.answer_time(stage.hurt).await.expect("an answer");
    assert!(took >= Duration::from_millis(120), "{took:?}");
    slower.heal().await.expect("healed");
    stage.everything_is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_away_is_an_error_and_no_fault() {
    let server = Counting::default();
    let upstream = server.serve().await;
    let proxies = Proxies::start().await;
    let mut wire = proxies
        .link("shop-1", "store-1", upstream, Protocol::Http)
        .await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    wire.link.api_url = format!("http://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    let pipeline = SmallPipeline::default().with_link(wire.link).share();
    let down = fault(kind("kind = \"link_down\"\nlink = \"shop-1 -> store-1\""));
    let error = inject(&down, &pipeline, 1)
        .await
        .expect_err("nobody answers");
    assert!(error.to_string().contains("does not answer"), "{error}");
    assert!(!error.is_unsupported());
}
