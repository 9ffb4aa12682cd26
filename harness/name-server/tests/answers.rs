//! What a client hears, asked by a resolver of its own.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};
use local_name_server::{Answer, NameServer};

const NAME: &str = "order-service-1.order-service.firedrill.test";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const LIMIT: Duration = Duration::from_millis(300);

async fn server() -> NameServer {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = NameServer::start(address, Duration::from_secs(1)).await;
    let server = server.expect("it starts");
    server.place(NAME, ADDRESS);
    server
}

/// A client that keeps nothing.
fn client(server: &NameServer, connection: ConnectionConfig) -> TokioResolver {
    let mut connection = connection;
    connection.port = server.address().port();
    let one = NameServerConfig::new(server.address().ip(), true, vec![connection]);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![one]);
    let provider = TokioRuntimeProvider::default();
    let mut builder = TokioResolver::builder_with_config(config, provider);
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4Only;
    options.cache_size = 0;
    options.attempts = 0;
    options.timeout = LIMIT;
    builder.build().expect("a client")
}

async fn look_up(client: &TokioResolver, name: &str) -> Result<Vec<IpAddr>, String> {
    match client.lookup_ip(name).await {
        Ok(found) => Ok(found.iter().collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn a_name_is_where_it_was_placed_over_both_transports() {
    let server = server().await;
    for connection in [ConnectionConfig::udp(), ConnectionConfig::tcp()] {
        let client = client(&server, connection);
        assert_eq!(look_up(&client, NAME).await, Ok(vec![ADDRESS.into()]));
        let shouted = NAME.to_uppercase();
        assert_eq!(look_up(&client, &shouted).await, Ok(vec![ADDRESS.into()]));
    }
    assert_eq!(server.asked(NAME).address, 4);
    let elsewhere = Ipv4Addr::new(127, 0, 0, 2);
    server.place(NAME, elsewhere);
    let client = client(&server, ConnectionConfig::udp());
    assert_eq!(look_up(&client, NAME).await, Ok(vec![elsewhere.into()]));
}

#[tokio::test]
async fn answers_may_be_kept_as_long_as_they_say() {
    let server = server().await;
    let client = client(&server, ConnectionConfig::udp());
    let before = Instant::now();
    let found = client.lookup_ip(NAME).await.expect("an answer");
    let kept = found.valid_until() - before;
    assert!(kept >= Duration::from_millis(900), "{kept:?}");
    assert!(kept <= Duration::from_secs(5), "{kept:?}");
}

#[tokio::test]
async fn every_misleading_answer_is_heard_counted_and_taken_back() {
    let server = server().await;
    let client = client(&server, ConnectionConfig::udp());
    let spared = "order-service-2.order-service.firedrill.test";
    server.place(spared, ADDRESS);
    for answer in [Answer::Unknown, Answer::ServerFailing, Answer::Silent] {
        server.answer(NAME, answer);
        let asked = Instant::now();
        let heard = look_up(&client, NAME).await;
        assert!(heard.is_err(), "{answer:?}: {heard:?}");
        let took = asked.elapsed();
        assert_eq!(
            answer == Answer::Silent,
            took >= LIMIT,
            "{answer:?}: {took:?}"
        );
        assert!(server.asked(NAME).times(answer) >= 1, "{answer:?}");
        assert!(look_up(&client, spared).await.is_ok(), "{answer:?}");
        server.answer(NAME, Answer::Address);
        assert_eq!(look_up(&client, NAME).await, Ok(vec![ADDRESS.into()]));
    }
    let spared = server.asked(spared);
    assert_eq!(
        (spared.unknown, spared.server_failing, spared.silent),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn nobody_else_is_known_and_other_kinds_of_records_are_empty() {
    let server = server().await;
    let client = client(&server, ConnectionConfig::udp());
    let heard = client.lookup_ip("elsewhere.firedrill.test").await;
    assert!(heard.is_err_and(|error| error.is_nx_domain()));
    let heard = client.txt_lookup(NAME).await;
    let heard = heard.expect_err("there is no text");
    assert!(
        heard.is_no_records_found() && !heard.is_nx_domain(),
        "{heard}"
    );
}

#[tokio::test]
async fn nothing_is_left_of_a_server_that_has_ended() {
    let server = server().await;
    let address = server.address();
    server.answer(NAME, Answer::Silent);
    let client = client(&server, ConnectionConfig::udp());
    assert!(look_up(&client, NAME).await.is_err());
    server.shutdown().await;
    let udp = tokio::net::UdpSocket::bind(address).await;
    assert!(udp.is_ok(), "{udp:?}");
    let tcp = tokio::net::TcpListener::bind(address).await;
    assert!(tcp.is_ok(), "{tcp:?}");
}
