//! Pipelines that are started before their drills ask for them: handed over as asked, never passed off for another, ended
//! when nobody takes them, and what goes wrong with one is told to its drill.

mod testbed_support;

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use firedrill::{
    diagnostic::Source,
    drill::Ahead,
    testbed::{
        Pipeline, PipelineRequest, Testbed,
        local::{LocalOptions, LocalTestbed},
    },
    topology::Topology,
};
use testbed_support::component::{self, get};
use tokio_util::sync::CancellationToken;

const TOPOLOGY: &str = r#"
[customers]
entry = "shop/http"
[component.shop]
command  = COMMAND
replicas = 2
ports    = { http = "http" }
ready    = "/ready"
[component.shop.settings]
COMPONENT_LISTEN = "{listen:http}"
"#;

#[test]
fn acting_as_a_component() {
    component::serve_if_asked();
}

struct Bed {
    testbed: Arc<LocalTestbed>,
    topology: Arc<Topology>,
    folder: tempfile::TempDir,
}

impl Bed {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = TOPOLOGY.replace("COMMAND", &component::command());
        let source = Source::new("topology.toml", &text);
        let topology = Topology::parse(source, folder.path().to_owned()).expect("it is right");
        let topology = Arc::new(topology);
        let options = LocalOptions::new(topology.clone()).expect("options");
        let testbed = LocalTestbed::start(options).await.expect("a testbed");
        Self {
            testbed: Arc::new(testbed),
            topology,
            folder,
        }
    }

    fn request(&self, index: usize) -> PipelineRequest {
        let drill = format!("d{index:04}");
        let directory = self.folder.path().join(&drill);
        fs::create_dir_all(&directory).expect("made");
        PipelineRequest {
            drill,
            directory,
            seed: 7,
            without: Vec::new(),
            settings: BTreeMap::new(),
            replicas: BTreeMap::new(),
            in_background: false,
            cancel: CancellationToken::new(),
        }
    }

    fn ahead(&self, upcoming: Vec<(usize, PipelineRequest)>) -> Ahead {
        Ahead::new(self.testbed.clone(), self.topology.clone(), upcoming)
    }

    /// Waits until the instance of a drill that nobody has taken yet listens; its address.
    async fn listens(&self, index: usize) -> SocketAddr {
        let log = self.log(index);
        let listening = async {
            let mut look = tokio::time::interval(Duration::from_millis(5));
            loop {
                look.tick().await;
                let text = fs::read_to_string(&log).unwrap_or_default();
                let address = text
                    .lines()
                    .rev()
                    .find_map(|line| line.split_once("listening on "));
                if let Some((_, address)) = address {
                    return address.parse().expect("an address");
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), listening)
            .await
            .expect("nothing was started ahead")
    }

    fn log(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("d{index:04}/shop-1.log"))
    }

    async fn shut_down(self) {
        self.testbed.shut_down().await.expect("shut down");
    }
}

fn own_address(pipeline: &Arc<dyn Pipeline>) -> SocketAddr {
    pipeline.address("shop-1", "http").expect("it has a port")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_gets_the_pipeline_that_was_started_for_it_and_the_next_is_started() {
    let bed = Bed::start().await;
    let ahead = bed.ahead((1..=4).map(|index| (index, bed.request(index))).collect());
    let first = ahead.take(1, bed.request(1)).await.expect("a pipeline");
    ahead.start_next();
    ahead.start_next();
    ahead.start_next();
    let address = bed.listens(2).await;
    bed.listens(3).await;
    assert!(!bed.log(4).exists(), "more than two pipelines are ahead");
    let second = ahead.take(2, bed.request(2)).await.expect("a pipeline");
    assert_eq!(own_address(&second), address, "it was started once more");
    assert_ne!(own_address(&first), address, "two drills share a pipeline");
    ahead.start_next();
    bed.listens(4).await;
    assert_eq!(ahead.close().await, Vec::<String>::new());
    first.stop().await.expect("stopped");
    second.stop().await.expect("stopped");
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_asks_for_something_else_gets_that() {
    let bed = Bed::start().await;
    let ahead = bed.ahead(vec![(1, bed.request(1))]);
    ahead.start_next();
    let other = bed.listens(1).await;
    let mut request = bed.request(1);
    let setting = ("shop".to_owned(), "NAME".to_owned());
    request.settings.insert(setting, "another".to_owned());
    let pipeline = ahead.take(1, request).await.expect("a pipeline");
    let (_, environment) = get(own_address(&pipeline), "/environment")
        .await
        .expect("an answer");
    assert!(environment.contains("NAME=another"), "{environment}");
    assert!(TcpStream::connect(other).is_err(), "the other is left");
    pipeline.stop().await.expect("stopped");
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_dies_while_its_pipeline_waits_is_told_to_the_drill() {
    let bed = Bed::start().await;
    let ahead = bed.ahead(vec![(1, bed.request(1))]);
    ahead.start_next();
    let address = bed.listens(1).await;
    let other = bed.folder.path().join("d0001/shop-2.log");
    get(address, "/exit/3").await;
    let error = ahead.take(1, bed.request(1)).await.map(drop);
    let message = error.expect_err("it is dead").to_string();
    assert!(
        message.contains("shop-1") && message.contains("exit code 3"),
        "{message}"
    );
    let other = fs::read_to_string(other).expect("its log");
    let (_, other) = other.split_once("listening on ").expect("it listened");
    let other: SocketAddr = other
        .lines()
        .next()
        .unwrap_or_default()
        .parse()
        .expect("an address");
    assert!(
        TcpStream::connect(other).is_err(),
        "the rest of the pipeline is left"
    );
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_failed_ahead_is_told_to_its_own_drill_only() {
    let bed = Bed::start().await;
    let mut failing = bed.request(1);
    let setting = ("shop".to_owned(), "COMPONENT_FAILS".to_owned());
    failing.settings.insert(setting, "yes".to_owned());
    let ahead = bed.ahead(vec![(1, failing.clone()), (2, bed.request(2))]);
    ahead.start_next();
    let error = ahead.take(1, failing).await.map(drop);
    let message = error.expect_err("it cannot start").to_string();
    assert!(
        message.contains("cannot read the configuration"),
        "{message}"
    );
    let second = ahead.take(2, bed.request(2)).await.expect("a pipeline");
    second.stop().await.expect("stopped");
    bed.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_takes_is_ended() {
    let bed = Bed::start().await;
    let ahead = bed.ahead(vec![(1, bed.request(1)), (2, bed.request(2))]);
    ahead.start_next();
    let skipped = bed.listens(1).await;
    ahead.release(1).await.expect("ended");
    assert!(TcpStream::connect(skipped).is_err(), "it is left");
    ahead.start_next();
    let last = bed.listens(2).await;
    assert_eq!(ahead.close().await, Vec::<String>::new());
    assert!(TcpStream::connect(last).is_err(), "it is left");
    bed.shut_down().await;
}
