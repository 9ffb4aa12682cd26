//! The server as an ordinary S3 client sees it.

use std::net::{Ipv4Addr, SocketAddr};

use futures::TryStreamExt;
use local_object_store::{Access, LocalObjectStore, ObjectStoreError};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, RetryConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn access() -> Access {
    Access {
        bucket: "lake".to_owned(),
        access_key: "key".to_owned(),
        secret_key: "secret".to_owned(),
    }
}

async fn start() -> (TempDir, LocalObjectStore) {
    // Somebody else may have chosen it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalObjectStore::start(folder.path(), ANY_PORT, access()).await;
    (folder, store.expect("it starts"))
}

fn client(address: SocketAddr, secret: &str) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(format!("http://{address}"))
        .with_allow_http(true)
        .with_region("local")
        .with_bucket_name("lake")
        .with_access_key_id("key")
        .with_secret_access_key(secret)
        .with_retry(RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        })
        .build()
        .expect("a client")
}

async fn names(client: &AmazonS3) -> Vec<String> {
    let listed: Vec<_> = client.list(None).try_collect().await.expect("a list");
    let mut names: Vec<_> = listed
        .into_iter()
        .map(|object| object.location.to_string())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn objects_are_put_listed_and_read() {
    let (_folder, store) = start().await;
    let client = client(store.address(), "secret");
    for name in ["a/1.jsonl", "a/2.jsonl", "b.jsonl"] {
        client
            .put(&Path::from(name), name.to_owned().into())
            .await
            .expect("a put");
    }
    assert_eq!(names(&client).await, ["a/1.jsonl", "a/2.jsonl", "b.jsonl"]);
    let read = client.get(&Path::from("a/2.jsonl")).await.expect("a get");
    assert_eq!(read.bytes().await.expect("its bytes"), "a/2.jsonl");
}

#[tokio::test]
async fn an_object_is_created_once_where_that_is_asked() {
    let (_folder, store) = start().await;
    let client = client(store.address(), "secret");
    let name = Path::from("once");
    let create =
        |content: &'static str| client.put_opts(&name, content.into(), PutMode::Create.into());
    create("first").await.expect("it is new");
    let refused = create("second").await;
    assert!(
        matches!(refused, Err(object_store::Error::AlreadyExists { .. })),
        "{refused:?}"
    );
    let kept = client.get(&name).await.expect("a get").bytes().await;
    assert_eq!(kept.expect("its bytes"), "first");
}

#[tokio::test]
async fn another_secret_is_refused() {
    let (_folder, store) = start().await;
    let stranger = client(store.address(), "guessed");
    let refused = stranger.put(&Path::from("a"), "x".into()).await;
    assert!(refused.is_err());
    assert!(names(&client(store.address(), "secret")).await.is_empty());
}

/// A put whose body ends early must not leave an object, whole or half.
#[tokio::test]
async fn a_put_that_is_cut_off_leaves_nothing() {
    let (_folder, store) = start().await;
    let client = client(store.address(), "secret");
    let (recorder, address) = record_one_request().await;
    let through_recorder = self::client(address, "secret");
    let body = "x".repeat(2_000);
    let _no_answer = through_recorder.put(&Path::from("cut"), body.into()).await;
    let request = recorder.await.expect("a recorded request");
    // The signature names the recorder's address as the host, which nobody checks but the server.
    let mut connection = TcpStream::connect(store.address())
        .await
        .expect("connected");
    connection
        .write_all(&request[..request.len() - 500])
        .await
        .expect("most of it is sent");
    connection.shutdown().await.expect("and no more");
    let mut answer = Vec::new();
    let _ended_either_way = connection.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    assert!(names(&client).await.is_empty());

    let mut connection = TcpStream::connect(store.address())
        .await
        .expect("connected");
    connection.write_all(&request).await.expect("all is sent");
    let mut start = [0; 12];
    connection.read_exact(&mut start).await.expect("an answer");
    assert_eq!(
        &start, b"HTTP/1.1 200",
        "the same request is good when it is whole"
    );
    assert_eq!(names(&client).await, ["cut"]);
}

/// Listens, takes in one whole request and closes without an answer.
async fn record_one_request() -> (tokio::task::JoinHandle<Vec<u8>>, SocketAddr) {
    let listener = tokio::net::TcpListener::bind(ANY_PORT)
        .await
        .expect("a port");
    let address = listener.local_addr().expect("its address");
    let recorder = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.expect("a client");
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        while !is_whole(&request) {
            let read = connection.read(&mut piece).await.expect("more of it");
            assert!(read > 0, "the client gave up");
            request.extend_from_slice(&piece[..read]);
        }
        request
    });
    (recorder, address)
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse::<usize>().ok())
        .unwrap_or(0);
    request.len() >= end + 4 + length
}

#[tokio::test]
async fn nothing_listens_after_the_end() {
    let (_folder, store) = start().await;
    let address = store.address();
    let client = client(address, "secret");
    names(&client).await;
    store.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_bucket_that_leads_elsewhere_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for bucket in ["../up", "", "a/b", "Lake", "-x-"] {
        let access = Access {
            bucket: bucket.to_owned(),
            ..access()
        };
        let refused = LocalObjectStore::start(folder.path(), ANY_PORT, access).await;
        assert!(
            matches!(refused, Err(ObjectStoreError::Bucket(_))),
            "{bucket}"
        );
    }
}
