//! Faults of names, witnessed by clients that ask a DNS server and call whom they are led to.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use firedrill::{
    fault::{FaultError, Injection, inject},
    testbed::{Pipeline, ServerName},
    topology::Protocol,
    workload::{
        Assortment, Client, Generator, Outside,
        outcome::{Seen, decide},
    },
};
use firedrill_oracle::record::Outcome;
use local_name_server::NameServer;
use tokio::net::{TcpListener, TcpStream};

use super::{
    fault, kind,
    pipeline::SmallPipeline,
    proxies::{Counting, Proxies},
};

const PATIENCE: Duration = Duration::from_secs(2);
const NAME: &str = "store-1.store.firedrill.test";

/// A client with its own link and its own name server.
struct Side {
    entry: SocketAddr,
    names: Arc<NameServer>,
}

impl Side {
    /// What a newcomer sees who asks for the way and calls whom he is led to.
    async fn call(&self) -> Seen {
        let url = format!("http://{NAME}:{}", self.entry.port());
        let own = rcgen::generate_simple_self_signed(["store".to_owned()]).expect("made");
        let outside = Outside {
            certificate_authority_pem: own.cert.pem(),
            patience: PATIENCE,
            name_server: Some(self.names.address()),
            verifies: true,
        };
        let client = Client::new(&url, &outside).expect("a client");
        let mut generator = Generator::new(1, Assortment::new(1, 1, 1), "n");
        let intent = generator.next_intent(true, 1);
        let newcomers = client.for_newcomers();
        let (seen, _) = newcomers.place_order(&intent, 0, None).await;
        seen
    }

    async fn is_served(&self) -> bool {
        matches!(self.call().await, Seen::Answer { status: 200, .. })
    }
}

/// Two clients of one server; the first can reach a second server as well.
struct Stage {
    pipeline: Arc<dyn Pipeline>,
    hurt: Side,
    spared: Side,
    /// Where the first client reaches the second server.
    second: SocketAddr,
    server: Counting,
    _proxies: Proxies,
}

impl Stage {
    async fn set() -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let server = Counting::default();
        let upstream = server.serve().await;
        let proxies = Proxies::start().await;
        let mut pipeline = SmallPipeline::default();
        let mut sides = Vec::new();
        for client in ["shop-1", "desk-1"] {
            let link = proxies
                .link(client, "store-1", upstream, Protocol::Http)
                .await;
            let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let names = NameServer::start(listen, Duration::from_secs(1)).await;
            let names = Arc::new(names.expect("a name server"));
            names.place(NAME, Ipv4Addr::LOCALHOST);
            pipeline = pipeline.with_link(link.link).with_name(ServerName {
                client: client.to_owned(),
                server: "store-1".to_owned(),
                name: NAME.to_owned(),
                name_server: Arc::clone(&names),
            });
            sides.push(Side {
                entry: link.entry,
                names,
            });
        }
        let second = proxies
            .link("shop-1", "store-2", upstream, Protocol::Http)
            .await;
        pipeline = pipeline.with_link(second.link);
        let [hurt, spared] = <[Side; 2]>::try_from(sides).ok().expect("two");
        Self {
            pipeline: pipeline.share(),
            hurt,
            spared,
            second: second.entry,
            server,
            _proxies: proxies,
        }
    }

    /// Injects a fault on the link `shop -> store`.
    async fn inject(&self, profile: &str) -> Injection {
        self.try_to_inject(profile).await.expect("injected")
    }

    async fn try_to_inject(&self, profile: &str) -> Result<Injection, FaultError> {
        let profile = format!("link = \"shop -> store\"\n{profile}");
        inject(&fault(kind(&profile)), &self.pipeline, 1).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_told_the_way_sends_nothing() {
    let stage = Stage::set().await;
    for answer in ["unknown", "server_failing", "silent"] {
        assert!(stage.hurt.is_served().await, "before {answer}");
        let profile = format!("kind = \"dns_answers\"\nanswer = \"{answer}\"");
        let mut injection = stage.inject(&profile).await;
        assert_eq!(
            injection.felt().await.expect("counted").count,
            0,
            "{answer}"
        );

        let asked = stage.server.asked();
        let seen = stage.hurt.call().await;
        assert!(matches!(seen, Seen::NotSent { .. }), "{answer}: {seen:?}");
        assert!(matches!(decide(seen), Outcome::Refused { .. }), "{answer}");
        assert_eq!(stage.server.asked(), asked, "{answer}");
        assert!(
            injection.felt().await.expect("counted").count >= 1,
            "{answer}"
        );

        assert!(stage.spared.is_served().await, "{answer}");
        let report = injection.heal().await.expect("healed");
        assert_eq!(
            report.restored,
            ["shop-1 is told where store-1 is"],
            "{answer}"
        );
        assert!(stage.hurt.is_served().await, "after {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_moved_is_found_once_dns_knows() {
    let stage = Stage::set().await;
    assert!(stage.hurt.is_served().await);
    let mut injection = stage.inject("kind = \"address_moved\"").await;
    assert_eq!(injection.felt().await.expect("counted").count, 0);

    let seen = stage.hurt.call().await;
    assert!(matches!(seen, Seen::NotSent { .. }), "{seen:?}");
    assert_eq!(injection.felt().await.expect("counted").count, 1);
    assert!(stage.spared.is_served().await);
    let new = SocketAddr::from(([127, 0, 0, 2], stage.hurt.entry.port()));
    let there = TcpStream::connect(new).await;
    assert!(there.is_ok(), "{there:?}");

    let report = injection.heal().await.expect("healed");
    assert_eq!(
        report.restored,
        ["shop-1 is told that store-1 is at 127.0.0.2"]
    );
    assert!(stage.hurt.is_served().await);
    assert!(stage.spared.is_served().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_move_twice() {
    let stage = Stage::set().await;
    for _ in 0..2 {
        let mut injection = stage.inject("kind = \"address_moved\"").await;
        assert!(!stage.hurt.is_served().await);
        injection.heal().await.expect("healed");
        assert!(stage.hurt.is_served().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_address_misleads_nobody_so_long_as_somebody_accepts_there() {
    let stage = Stage::set().await;
    let mut injection = stage.inject("kind = \"address_moved\"").await;
    let still_there = TcpListener::bind(stage.hurt.entry).await.expect("free");
    assert!(!stage.hurt.is_served().await);
    assert_eq!(injection.felt().await.expect("counted").count, 0);
    drop(still_there);
    assert_eq!(injection.felt().await.expect("counted").count, 1);

    // Answers that came after the healing were true.
    injection.heal().await.expect("healed");
    assert!(stage.hurt.is_served().await);
    assert_eq!(injection.felt().await.expect("counted").count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_server_cannot_move_all_stay() {
    let stage = Stage::set().await;
    let beside = SocketAddr::from(([127, 0, 0, 2], stage.second.port()));
    let _taken = TcpListener::bind(beside).await.expect("free");
    let refusal = stage.try_to_inject("kind = \"address_moved\"").await;
    let refusal = refusal.expect_err("the second server cannot move");
    assert!(refusal.to_string().contains("store-2"), "{refusal}");
    assert!(stage.hurt.is_served().await);
    assert!(stage.spared.is_served().await);
    assert!(TcpStream::connect(stage.second).await.is_ok());
}
