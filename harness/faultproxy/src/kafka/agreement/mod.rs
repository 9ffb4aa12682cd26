//! What is read and written here agrees with the `kafka-protocol` codecs, in every version that clients are offered.

mod refusals;
mod rewrites;
mod rules;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::address::{HostPort, KafkaSettings, Told};
use super::api_key::ApiKey as Key;
use super::rule_set::Rules;
use super::session::{Bounds, Piece, Session};

const CORRELATION: i32 = 77;
const TOPIC_ID: [u8; 16] = [7; 16];

fn uuid_of_topic() -> uuid::Uuid {
    uuid::Uuid::from_bytes(TOPIC_ID)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name() -> TopicName {
    TopicName(text("orders"))
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn request<R: Encodable + HeaderVersion>(api: Key, version: i16, body: &R) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(api.0)
        .with_request_api_version(version)
        .with_correlation_id(CORRELATION)
        .with_client_id(Some(text("a client")));
    let mut bytes = BytesMut::new();
    header
        .encode(&mut bytes, R::header_version(version))
        .expect("a header");
    body.encode(&mut bytes, version).expect("a body");
    framed(&bytes)
}

fn answer<R: Encodable + HeaderVersion>(version: i16, body: &R) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(CORRELATION);
    header
        .encode(&mut bytes, R::header_version(version))
        .expect("a header");
    body.encode(&mut bytes, version).expect("a body");
    framed(&bytes)
}

/// Reads a frame with the codecs, to its last byte.
fn read<R: Decodable + HeaderVersion>(version: i16, frame: &[u8]) -> R {
    let length = u32::from_be_bytes(frame[..4].try_into().expect("a length")) as usize;
    assert_eq!(length, frame.len() - 4, "the length in front is the length");
    let mut bytes = Bytes::copy_from_slice(&frame[4..]);
    let header = ResponseHeader::decode(&mut bytes, R::header_version(version)).expect("a header");
    assert_eq!(header.correlation_id, CORRELATION);
    let body = R::decode(&mut bytes, version).expect("a body");
    assert!(
        bytes.is_empty(),
        "{} bytes too many in version {version}",
        bytes.len()
    );
    body
}

fn session(rules: &Arc<Rules>) -> Session {
    let told = Told {
        settings: KafkaSettings::default(),
        reached: HostPort {
            host: "proxy.example".to_owned(),
            port: 9999,
        },
    };
    let bounds = Bounds {
        frame_bytes: 1 << 20,
        in_flight: 16,
    };
    Session::new(Arc::clone(rules), told, bounds, 1, 1)
}

fn data(pieces: Vec<Piece>) -> Vec<u8> {
    pieces
        .into_iter()
        .flat_map(|piece| match piece {
            Piece::Data(bytes, _) => bytes.to_vec(),
            Piece::End(ending) => panic!("the connection ended: {ending:?}"),
        })
        .collect()
}
