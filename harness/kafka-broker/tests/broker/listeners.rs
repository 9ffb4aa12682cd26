//! Listeners: down and up, side by side, advertised addresses, the end.

use crate::clients::{LIMIT, broker, client, consumer, next, producer, send_numbered, stored};
use crate::wire::Wire;
use kafka_broker::{Address, Broker, BrokerConfig, BrokerError};
use kafka_protocol::messages::{ApiKey, MetadataRequest, MetadataResponse};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_survives_down_and_up_and_clients_come_back() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let sender = producer(&listener, true, &[]);
    send_numbered(&sender, "orders", 0, 20).await;
    let reader = consumer(&listener, "workers", "orders", &[]);
    for _ in 0..20 {
        next(&reader).await;
    }
    broker.set_down(None, true).await.expect("down");
    let refused = TcpStream::connect(listener.address()).await;
    assert_eq!(
        refused.expect_err("down").kind(),
        std::io::ErrorKind::ConnectionRefused
    );
    let record: FutureRecord<'_, (), str> = FutureRecord::to("orders").payload("late");
    let late = sender.send_result(record).expect("queued");
    assert_eq!(broker.offsets("orders").expect("topic")[0].end, 20);
    broker.set_down(None, false).await.expect("up");
    late.await.expect("delivery").expect("acknowledged");
    assert_eq!(next(&reader).await.2, "late");
    assert_eq!(stored(&broker, "orders").len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_listener_down_leaves_the_others_alone() {
    let (broker, down) = broker(BrokerConfig::default()).await;
    let up = broker.listen("other", None).await.expect("listen");
    broker.create_topic("orders", 1).expect("topic");
    let mut bystander = Wire::connect(&up).await;
    bystander.metadata().await.expect("answer");
    broker.set_down(Some("service"), true).await.expect("down");
    assert!(TcpStream::connect(down.address()).await.is_err());
    bystander
        .metadata()
        .await
        .expect("the same connection still works");
    send_numbered(&producer(&up, false, &[]), "orders", 0, 5).await;
    broker
        .set_down(Some("service"), true)
        .await
        .expect("down twice is down");
    broker.set_down(Some("service"), false).await.expect("up");
    Wire::connect(&down).await.metadata().await.expect("answer");
    let unknown = broker.set_down(Some("nobody"), true).await;
    assert!(matches!(unknown, Err(BrokerError::UnknownListener(name)) if name == "nobody"));
}

#[tokio::test]
async fn each_listener_advertises_its_own_address() {
    let broker = Broker::new(BrokerConfig::default());
    let behind_proxy = broker
        .listen("a", Some(Address::new("proxy.test", 1234)))
        .await
        .expect("listen");
    let direct = broker.listen("b", None).await.expect("listen");
    let told = |metadata: MetadataResponse| {
        (
            metadata.brokers[0].host.to_string(),
            metadata.brokers[0].port,
        )
    };
    let mut a = Wire::connect(&behind_proxy).await;
    let mut b = Wire::connect(&direct).await;
    assert_eq!(
        told(a.metadata().await.expect("answer")),
        ("proxy.test".to_owned(), 1234)
    );
    assert_eq!(
        told(b.metadata().await.expect("answer")),
        ("127.0.0.1".to_owned(), i32::from(direct.port()))
    );
    direct.advertise(Address::new("late.test", 99));
    assert_eq!(
        told(b.metadata().await.expect("answer")),
        ("late.test".to_owned(), 99)
    );
    assert_eq!(
        (
            behind_proxy.requests(),
            direct.requests(),
            direct.connections()
        ),
        (1, 2, 1)
    );
}

#[tokio::test]
async fn names_and_ports_are_taken_once() {
    let broker = Broker::new(BrokerConfig::default());
    let listener = broker.listen("a", None).await.expect("listen");
    assert!(matches!(
        broker.listen("a", None).await,
        Err(BrokerError::ListenerExists(_))
    ));
    let taken = broker.listen_on("b", listener.address(), None).await;
    assert!(matches!(taken, Err(BrokerError::Bind { .. })));
    assert_eq!(broker.listeners().len(), 1);
}

#[tokio::test]
async fn shutdown_leaves_no_task_and_no_port() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let mut open = Wire::connect(&listener).await;
    open.metadata().await.expect("answer");
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert!(tasks >= 3, "timer, listener and connection: {tasks}");
    broker.shutdown().await;
    assert_eq!(
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks(),
        0
    );
    assert!(open.metadata().await.is_err(), "the connection is closed");
    assert!(TcpStream::connect(listener.address()).await.is_err());
    assert!(matches!(
        broker.set_down(None, false).await,
        Err(BrokerError::ShutDown)
    ));
    assert_eq!(
        broker.topics(),
        ["orders"],
        "what was stored can still be read"
    );
}

#[tokio::test]
async fn dropping_the_broker_ends_its_tasks() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    let mut open = Wire::connect(&listener).await;
    open.metadata().await.expect("answer");
    drop(broker);
    assert!(
        tokio::time::timeout(LIMIT, open.closed())
            .await
            .expect("closed in time")
    );
}

#[tokio::test]
async fn connections_over_the_limit_are_closed() {
    let config = BrokerConfig {
        max_connections: 1,
        ..BrokerConfig::default()
    };
    let (_broker, listener) = broker(config).await;
    let mut first = Wire::connect(&listener).await;
    first.metadata().await.expect("answer");
    let mut second = Wire::connect(&listener).await;
    assert!(second.metadata().await.is_err());
    first.metadata().await.expect("answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_brokers_live_side_by_side() {
    let mut brokers = Vec::new();
    for number in 0..20 {
        let broker = Broker::new(BrokerConfig::default());
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = broker.listen_on("service", at, None).await.expect("listen");
        broker.create_topic("orders", 1).expect("topic");
        let sender: FutureProducer = client(&listener).create().expect("producer");
        send_numbered(&sender, "orders", 0, number).await;
        brokers.push(broker);
    }
    for (number, broker) in brokers.iter().enumerate() {
        assert_eq!(
            broker.offsets("orders").expect("topic")[0].end,
            number as i64
        );
    }
}

#[tokio::test]
async fn metadata_creates_topics_only_if_the_broker_may() {
    for (auto_create_topics, expected) in [(true, 1), (false, 0)] {
        let (broker, listener) = broker(BrokerConfig {
            auto_create_topics,
            ..BrokerConfig::default()
        })
        .await;
        let topic = kafka_protocol::messages::metadata_request::MetadataRequestTopic::default()
            .with_name(Some(
                kafka_protocol::protocol::StrBytes::from_static_str("orders").into(),
            ));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let mut wire = Wire::connect(&listener).await;
        wire.call::<_, MetadataResponse>(ApiKey::Metadata, 9, &request)
            .await
            .expect("answer");
        assert_eq!(broker.topics().len(), expected);
    }
}
