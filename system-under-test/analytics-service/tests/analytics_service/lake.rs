//! What stands in the data lake after a put that succeeded, failed, or was cut off.

use std::net::{Ipv4Addr, SocketAddr};

use analytics_service::config::Config;
use analytics_service::defences::Defence;
use analytics_service::domain::{Content, Line, ObjectName, object};
use analytics_service::lake::{Lake, Put};
use serde_json::json;
use service_kit::defences::Defences;
use service_kit::settings::Settings;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::World;

fn lake(world: &World, way: SocketAddr, off: &[Defence]) -> Lake {
    let config = Settings::read(world.values_with_lake(way), Config::read).expect("good settings");
    Lake::new(&config.lake, Defences::without(off.iter().copied())).expect("a client")
}

fn name() -> ObjectName {
    ObjectName {
        topic: "order-events".to_owned(),
        partition: 1,
        first: 4,
        next: 6,
    }
}

fn text() -> Vec<u8> {
    let line = |offset| Line {
        offset,
        content: Content::Event(json!({ "kind": "paid", "text": "x".repeat(400) })),
    };
    object::write(&[line(4), line(5)]).expect("written")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_put_once_listed_and_read() {
    let world = World::new().await;
    let lake = lake(&world, world.lake.address(), &[]);
    assert_eq!(lake.put(&name(), text()).await.expect("put"), Put::Created);
    assert_eq!(lake.put(&name(), text()).await.expect("put"), Put::Existed);
    assert_eq!(lake.list("order-events").await.expect("a list"), [name()]);
    assert_eq!(lake.list("others").await.expect("a list"), []);
    assert_eq!(lake.read(&name()).await.expect("read"), text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_is_cut_off_leaves_no_object_unless_it_is_made_in_pieces() {
    for (off, left) in [(vec![], 0), (vec![Defence::AtomicPut], 1)] {
        let world = World::new().await;
        // The first piece passes, the whole does not.
        let way = cut_after(world.lake.address(), 1_600).await;
        let cut = lake(&world, way, &off).put(&name(), text()).await;
        assert!(cut.is_err() || off.is_empty(), "{cut:?}");
        let direct = lake(&world, world.lake.address(), &off);
        if off.is_empty() {
            assert!(matches!(cut, Ok(Put::Created) | Err(_)), "{cut:?}");
            direct.put(&name(), text()).await.expect("put again");
            let kept = direct.read(&name()).await.expect("read");
            assert!(object::read(&name(), &kept).is_ok(), "it is whole");
        } else {
            assert_eq!(world.objects().len(), left);
            let again = direct.put(&name(), text()).await.expect("put again");
            assert_eq!(again, Put::Existed, "the half is taken for the whole");
            let kept = direct.read(&name()).await.expect("read");
            assert!(object::read(&name(), &kept).is_err(), "it is half");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_an_error_at_once() {
    let world = World::new().await;
    let lake = lake(&world, world.lake.address(), &[]);
    world.lake.shutdown().await;
    let begun = std::time::Instant::now();
    lake.put(&name(), text())
        .await
        .expect_err("nobody is there");
    assert!(
        begun.elapsed().as_secs() < 10,
        "it was tried again and again"
    );
}

/// A way to the store that lets so many bytes of all requests pass, and nothing afterwards.
async fn cut_after(store: SocketAddr, bytes: usize) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        let mut left = bytes;
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(store).await else {
                return;
            };
            left = pass(client, server, left).await;
        }
    });
    address
}

async fn pass(client: TcpStream, server: TcpStream, mut left: usize) -> usize {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move {
        let _ended = tokio::io::copy(&mut from_server, &mut to_client).await;
    });
    let mut piece = vec![0; 256];
    while left > 0 {
        let Ok(read) = tokio::io::AsyncReadExt::read(&mut from_client, &mut piece).await else {
            break;
        };
        let passing = read.min(left);
        if read == 0 || to_server.write_all(&piece[..passing]).await.is_err() {
            break;
        }
        left -= passing;
    }
    answers.abort();
    left
}
