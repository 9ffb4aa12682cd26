//! Each toxic bites, spares what it is not meant for, and heals: measured by sockets, not by the proxy.

mod support;

use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

use faultproxy::{FaultProxy, Limits, ProxyConfig, Stream, Toxic, ToxicError, ToxicKind};
use support::{Server, connect, echoed, proxy, rest, seeded, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

const LATE: Duration = Duration::from_millis(300);

fn latency(milliseconds: u64, stream: Stream) -> Toxic {
    Toxic::new(
        ToxicKind::Latency {
            latency_ms: milliseconds,
            jitter_ms: 0,
        },
        stream,
    )
}

#[tokio::test]
async fn without_a_toxic_everything_passes_and_half_closed_connections_go_on() {
    let server = Server::echo().await;
    let proxy = proxy("plain", server.address).await;
    let socket = connect(&proxy).await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut read, mut write) = socket.into_split();
    let all = sent.clone();
    let sending = tokio::spawn(async move {
        write.write_all(&all).await.expect("sent");
        write.shutdown().await.expect("half closed");
        write
    });
    let mut back = Vec::new();
    timeout(support::LIMIT, read.read_to_end(&mut back))
        .await
        .expect("in time")
        .expect("no error");
    drop(sending.await.expect("the sender"));
    assert!(
        back == sent,
        "{} of {} bytes came back, or others",
        back.len(),
        sent.len()
    );
    let counts = proxy.counters();
    assert_eq!(
        (counts.upstream_bytes, counts.downstream_bytes),
        (3_000_000, 3_000_000)
    );
    assert_eq!(counts.accepted, 1);
    until("the connection is closed", || proxy.counters().open == 0).await;
    assert_eq!(server.endings(), ["end"]);
}

#[tokio::test]
async fn latency_delays_one_direction_of_its_own_link_and_heals_at_once() {
    let server = Server::echo().await;
    let (hurt, other) = (
        proxy("hurt", server.address).await,
        proxy("other", server.address).await,
    );
    let (mut old, mut spared) = (connect(&hurt).await, connect(&other).await);
    echoed(&mut old, "before").await;
    let toxic = hurt
        .add_toxic(latency(300, Stream::Downstream))
        .expect("a new name");

    assert!(echoed(&mut old, "an open connection").await.1 >= LATE);
    assert!(echoed(&mut connect(&hurt).await, "a new one").await.1 >= LATE);
    assert!(echoed(&mut spared, "another link").await.1 < LATE);
    assert_eq!(toxic.counts().delayed, 2);

    // The request is not late: the server has it long before the client has the answer.
    let start = Instant::now();
    old.write_all(b"|request|").await.expect("sent");
    until("the server has the request", || {
        server.received().contains("|request|")
    })
    .await;
    assert!(start.elapsed() < LATE);
    // What is held back at the removal goes on at once.
    hurt.remove_toxic("latency_downstream")
        .expect("it is there");
    let mut back = [0; 9];
    old.read_exact(&mut back).await.expect("the echo");
    assert!(
        start.elapsed() < LATE,
        "held back {:?} after the healing",
        start.elapsed()
    );
    assert!(echoed(&mut old, "healed").await.1 < LATE);
    assert_eq!(toxic.counts().delayed, 3);
    assert_eq!(hurt.counters().toxics["latency_downstream"].delayed, 3);
}

#[tokio::test]
async fn latencies_of_what_is_under_way_together_do_not_add_up() {
    let server = Server::echo().await;
    let proxy = proxy("pipeline", server.address).await;
    let _toxic = proxy
        .add_toxic(latency(300, Stream::Upstream))
        .expect("a new name");
    let mut socket = connect(&proxy).await;
    let start = Instant::now();
    for _ in 0..10 {
        socket.write_all(b"0123456789").await.expect("sent");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut back = [0; 100];
    socket.read_exact(&mut back).await.expect("all echoes");
    assert!(
        start.elapsed() >= LATE && start.elapsed() < LATE * 4,
        "took {:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn timeout_swallows_requests_until_it_is_removed_and_then_closes() {
    let server = Server::echo().await;
    let proxy = proxy("hole", server.address).await;
    let mut socket = connect(&proxy).await;
    echoed(&mut socket, "before|").await;
    let toxic = proxy
        .add_toxic(Toxic::new(
            ToxicKind::Timeout { timeout_ms: 0 },
            Stream::Upstream,
        ))
        .expect("a new name");
    socket.write_all(b"swallowed").await.expect("sent");
    until("the bytes are swallowed", || {
        toxic.counts().discarded_bytes == 9
    })
    .await;
    let mut byte = [0];
    assert!(
        timeout(Duration::from_millis(50), socket.read(&mut byte))
            .await
            .is_err(),
        "it stays open"
    );
    proxy.remove_toxic("timeout_upstream").expect("it is there");
    assert_eq!(rest(&mut socket).await, (vec![], Ok(())));
    echoed(&mut connect(&proxy).await, "after").await;
    assert_eq!(server.received(), "before|after");
}

#[tokio::test]
async fn timeout_with_a_time_closes_by_itself_whatever_is_sent() {
    let server = Server::echo().await;
    let proxy = proxy("hole", server.address).await;
    let toxic = proxy
        .add_toxic(Toxic::new(
            ToxicKind::Timeout { timeout_ms: 100 },
            Stream::Downstream,
        ))
        .expect("a new name");
    let start = Instant::now();
    let mut socket = connect(&proxy).await;
    socket.write_all(b"request").await.expect("sent");
    assert_eq!(rest(&mut socket).await, (vec![], Ok(())));
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!(server.received(), "request", "only answers are swallowed");
    let counts = toxic.counts();
    assert_eq!(
        (
            counts.answers_lost,
            counts.discarded_bytes,
            counts.connections_cut
        ),
        (1, 7, 1)
    );
}

#[tokio::test]
async fn reset_peer_resets_both_sides() {
    let server = Server::echo().await;
    let (hurt, other) = (
        proxy("hurt", server.address).await,
        proxy("other", server.address).await,
    );
    let (mut socket, mut idle, mut spared) = (
        connect(&hurt).await,
        connect(&hurt).await,
        connect(&other).await,
    );
    echoed(&mut idle, "idle").await;
    let toxic = hurt
        .add_toxic(Toxic::new(
            ToxicKind::ResetPeer { timeout_ms: 0 },
            Stream::Upstream,
        ))
        .expect("a new name");
    socket.write_all(b"request").await.expect("sent");
    assert_eq!(
        rest(&mut socket).await,
        (vec![], Err(ErrorKind::ConnectionReset))
    );
    until("the server sees the reset", || {
        server.endings() == ["ConnectionReset"]
    })
    .await;
    assert_eq!(server.received(), "idle", "the request was swallowed");
    assert_eq!(
        (toxic.counts().connections_cut, toxic.counts().answers_lost),
        (1, 0)
    );
    echoed(&mut spared, "spared").await;
    hurt.remove_toxic("reset_peer_upstream")
        .expect("it is there");
    echoed(&mut idle, "a connection that said nothing meanwhile").await;
    echoed(&mut connect(&hurt).await, "healed").await;
}

#[tokio::test]
async fn limit_data_counts_from_when_it_was_added_and_cuts_at_the_byte() {
    let server = Server::echo().await;
    let proxy = proxy("limit", server.address).await;
    let mut socket = connect(&proxy).await;
    echoed(&mut socket, "these bytes do not count").await;
    let toxic = proxy
        .add_toxic(Toxic::new(
            ToxicKind::LimitData { bytes: 5 },
            Stream::Downstream,
        ))
        .expect("a new name");
    echoed(&mut socket, "abc").await;
    socket.write_all(b"defg").await.expect("sent");
    assert_eq!(rest(&mut socket).await, (b"de".to_vec(), Ok(())));
    assert_eq!(toxic.counts().answers_lost, 1);
    assert!(
        server.received().ends_with("abcdefg"),
        "all requests went through: {}",
        server.received()
    );
    proxy
        .remove_toxic("limit_data_downstream")
        .expect("it is there");
    echoed(&mut connect(&proxy).await, "healed, and long").await;
}

#[tokio::test]
async fn limit_data_of_nothing_cuts_answers_only_when_there_are_any() {
    let server = Server::answering().await;
    let proxy = proxy("limit", server.address).await;
    let toxic = proxy
        .add_toxic(Toxic::new(
            ToxicKind::LimitData { bytes: 0 },
            Stream::Downstream,
        ))
        .expect("a new name");
    let silent = connect(&proxy).await;
    for attempt in 1..=3 {
        let mut socket = connect(&proxy).await;
        socket.write_all(b"charge;").await.expect("sent");
        assert_eq!(rest(&mut socket).await, (vec![], Ok(())));
        assert_eq!(toxic.counts().answers_lost, attempt);
    }
    assert_eq!(server.received(), "charge;charge;charge;");
    until("only the silent one is left", || proxy.counters().open == 1).await;
    drop(silent);
}

#[tokio::test]
async fn lost_answers_are_exactly_the_requests_that_the_server_served() {
    let server = Server::answering().await;
    let proxy = proxy("lose", server.address).await;
    let kind = ToxicKind::LoseAnswer {
        protocol: faultproxy::Protocol::Plain,
        after_requests: 1,
        share: 1.0,
        times: Some(2),
        min_answer_bytes: None,
        drain_ms: 50,
    };
    let toxic = proxy
        .add_toxic(Toxic::new(kind, Stream::Downstream))
        .expect("a new name");
    for lost in 1..=2 {
        let mut socket = connect(&proxy).await;
        for text in ["one;", "two;"] {
            socket.write_all(text.as_bytes()).await.expect("sent");
            if text == "one;" {
                let mut answer = [0; 14];
                socket
                    .read_exact(&mut answer)
                    .await
                    .expect("the first is answered");
                assert_eq!(&answer, b"answer to one;");
            }
        }
        assert_eq!(rest(&mut socket).await, (vec![], Ok(())));
        assert_eq!(toxic.counts().answers_lost, lost);
    }
    // It was to happen twice.
    let mut socket = connect(&proxy).await;
    for _ in 0..3 {
        socket.write_all(b"more;").await.expect("sent");
        let mut answer = [0; 15];
        socket.read_exact(&mut answer).await.expect("answered");
    }
    assert_eq!(server.received(), "one;two;one;two;more;more;more;");
    assert_eq!(toxic.counts().answers_lost, 2);
    // The server noticed nothing until its side was closed in order.
    until("the drained connections are closed", || {
        server.endings() == ["end", "end"]
    })
    .await;
}

#[tokio::test]
async fn down_refuses_cuts_keeps_the_port_and_comes_back_on_it() {
    let server = Server::echo().await;
    let (hurt, other) = (
        proxy("hurt", server.address).await,
        proxy("other", server.address).await,
    );
    let (mut socket, mut spared) = (connect(&hurt).await, connect(&other).await);
    echoed(&mut socket, "before").await;
    for _ in 0..3 {
        hurt.set_enabled(false).await.expect("closed");
        assert_eq!(hurt.counters().open, 0);
        let refused = TcpStream::connect(hurt.address())
            .await
            .expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        // A socket that does not offer to share the port, as the choice of a free port does not, cannot have it.
        let other_owner = TcpSocket::new_v4().expect("a socket");
        assert!(
            other_owner.bind(hurt.address()).is_err(),
            "the port stays ours"
        );
        hurt.set_enabled(true).await.expect("open");
        echoed(&mut connect(&hurt).await, "again").await;
    }
    assert!(
        matches!(rest(&mut socket).await, (bytes, _) if bytes.is_empty()),
        "the old connection was cut"
    );
    echoed(&mut spared, "spared").await;
    assert!(hurt.counters().cut_by_down >= 1);
    assert_eq!(other.counters().cut_by_down, 0);
}

#[tokio::test]
async fn toxicity_takes_its_share_of_connections_by_the_seed() {
    let server = Server::answering().await;
    let mut drawn = Vec::new();
    for seed in [1, 1, 2] {
        let proxy = seeded("share", server.address, seed).await;
        let mut toxic = Toxic::new(ToxicKind::LimitData { bytes: 0 }, Stream::Downstream);
        toxic.toxicity = 0.4;
        let toxic = proxy.add_toxic(toxic).expect("a new name");
        let mut cut = Vec::new();
        for _ in 0..60 {
            let mut socket = connect(&proxy).await;
            socket.write_all(b"x").await.expect("sent");
            socket.shutdown().await.expect("half closed");
            cut.push(rest(&mut socket).await.0.is_empty());
        }
        let count = cut.iter().filter(|cut| **cut).count() as u64;
        assert_eq!(toxic.counts().answers_lost, count);
        assert!(
            (12..=36).contains(&count),
            "{count} of 60 at a toxicity of 0.4"
        );
        drawn.push(cut);
    }
    assert_eq!(drawn[0], drawn[1]);
    assert_ne!(drawn[0], drawn[2]);
}

#[tokio::test]
async fn toxics_are_added_changed_and_removed_by_name() {
    let server = Server::echo().await;
    let proxy = proxy("names", server.address).await;
    let toxic = latency(300, Stream::Upstream).named("slow");
    let handle = proxy.add_toxic(toxic.clone()).expect("a new name");
    assert_eq!(
        proxy.add_toxic(toxic.clone()).err(),
        Some(ToxicError::AlreadyExists)
    );
    assert_eq!(proxy.toxics(), [toxic]);
    let mut socket = connect(&proxy).await;
    assert!(echoed(&mut socket, "slow").await.1 >= LATE);
    proxy
        .update_toxic(
            "slow",
            ToxicKind::Latency {
                latency_ms: 0,
                jitter_ms: 0,
            },
            1.0,
        )
        .expect("it is there");
    assert!(echoed(&mut socket, "fast").await.1 < LATE);
    assert_eq!(handle.counts().delayed, 1, "counters go on over a change");
    assert_eq!(
        proxy.remove_toxic("slower").err(),
        Some(ToxicError::NotFound)
    );
    proxy.remove_toxics();
    assert_eq!(proxy.toxics(), []);
    let wrong = Toxic {
        toxicity: 1.5,
        ..latency(1, Stream::Upstream)
    };
    assert!(matches!(
        proxy.add_toxic(wrong).err(),
        Some(ToxicError::InvalidAttributes(_))
    ));
    let wrong = latency(u64::MAX, Stream::Upstream);
    assert!(matches!(
        proxy.add_toxic(wrong).err(),
        Some(ToxicError::InvalidAttributes(_))
    ));
    let wrong = Toxic::new(ToxicKind::lose_answer(None), Stream::Upstream);
    assert_eq!(
        proxy.add_toxic(wrong).err(),
        Some(ToxicError::InvalidStream)
    );
}

#[tokio::test]
async fn a_server_that_is_gone_and_too_many_clients_are_reset_and_counted() {
    let server = Server::echo().await;
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port")
        .local_addr()
        .expect("its address");
    let lost = proxy("lost", nobody).await;
    let (_, ended) = rest(&mut connect(&lost).await).await;
    assert_eq!(ended, Err(ErrorKind::ConnectionReset));
    assert_eq!(lost.counters().upstream_failures, 1);
    lost.set_upstream(server.address.to_string());
    echoed(&mut connect(&lost).await, "found").await;

    let limits = Limits {
        max_connections: 2,
        ..Limits::default()
    };
    let config = ProxyConfig {
        limits,
        ..ProxyConfig::new("few", server.address.to_string())
    };
    let few = FaultProxy::start(config).await.expect("a free port");
    let mut open = [connect(&few).await, connect(&few).await];
    for socket in &mut open {
        echoed(socket, "in").await;
    }
    let (_, ended) = rest(&mut connect(&few).await).await;
    assert_eq!(ended, Err(ErrorKind::ConnectionReset));
    assert_eq!(few.counters().refused, 1);
}

#[tokio::test]
async fn a_slow_receiver_bounds_what_is_held() {
    let server = Server::echo().await;
    let limits = Limits {
        queue_bytes: 64 * 1024,
        ..Limits::default()
    };
    let config = ProxyConfig {
        limits,
        ..ProxyConfig::new("bound", server.address.to_string())
    };
    let proxy = FaultProxy::start(config).await.expect("a free port");
    let _toxic = proxy
        .add_toxic(latency(60_000, Stream::Upstream))
        .expect("a new name");
    let socket = connect(&proxy).await;
    let mut sent = 0;
    let piece = [7; 64 * 1024];
    while timeout(Duration::from_millis(300), socket.writable())
        .await
        .is_ok()
    {
        sent += socket.try_write(&piece).unwrap_or_default();
        assert!(sent < 64 << 20, "the proxy takes without an end");
    }
    assert_eq!(server.received.lock().expect("no panic inside").len(), 0);
    proxy.remove_toxics();
    until("all of it arrives", || {
        server.received.lock().expect("no panic inside").len() == sent
    })
    .await;
}

#[tokio::test]
async fn after_the_shutdown_nothing_is_left() {
    let server = Server::echo().await;
    let proxy = proxy("end", server.address).await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let mut socket = connect(&proxy).await;
        echoed(&mut socket, "in").await;
        sockets.push(socket);
    }
    let alive = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    proxy.shutdown().await;
    assert_eq!(proxy.counters().open, 0);
    for socket in &mut sockets {
        assert!(rest(socket).await.0.is_empty());
    }
    until("the server's tasks end", || server.endings().len() == 5).await;
    // Five connections and the accept loop of the proxy, five tasks of the server.
    until("no task is left", || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
            + 11
            <= alive
    })
    .await;
    assert!(TcpStream::connect(proxy.address()).await.is_err());
    assert!(proxy.set_enabled(true).await.is_err());
    assert_eq!(server.connections.load(Ordering::SeqCst), 5);
}
