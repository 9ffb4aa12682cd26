//! A client that speaks the protocol by hand, so that it can also misspeak it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_broker::Listener;
use kafka_protocol::messages::{
    ApiKey, MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection to the broker.
pub(crate) struct Wire {
    stream: TcpStream,
    correlation_id: i32,
}

impl Wire {
    pub(crate) async fn connect(listener: &Listener) -> Self {
        let stream = TcpStream::connect(listener.address())
            .await
            .expect("connect");
        Self {
            stream,
            correlation_id: 0,
        }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn call<Q: Encodable, A: Decodable>(
        &mut self,
        api: ApiKey,
        version: i16,
        request: &Q,
    ) -> Result<A> {
        self.correlation_id += 1;
        self.send(&frame(api, version, self.correlation_id, request))
            .await?;
        let mut answer = self.answer().await?;
        let header = ResponseHeader::decode(&mut answer, api.response_header_version(version))
            .map_err(Error::other)?;
        assert_eq!(header.correlation_id, self.correlation_id);
        let decoded = A::decode(&mut answer, version).map_err(Error::other)?;
        assert!(
            !answer.has_remaining(),
            "{api:?} version {version}: {} bytes too many",
            answer.remaining()
        );
        Ok(decoded)
    }

    pub(crate) async fn metadata(&mut self) -> Result<MetadataResponse> {
        self.call(ApiKey::Metadata, 9, &MetadataRequest::default())
            .await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next frame without its length.
    pub(crate) async fn answer(&mut self) -> Result<Bytes> {
        let length = self.stream.read_u32().await?;
        let mut frame = vec![0; length as usize];
        self.stream.read_exact(&mut frame).await?;
        Ok(frame.into())
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.stream.shutdown().await
    }

    /// Reads until the broker closes; true if it did without a further answer.
    pub(crate) async fn closed(&mut self) -> bool {
        match self.answer().await {
            Ok(_) => false,
            Err(error) => matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
            ),
        }
    }
}

/// A whole request frame, its length first.
pub(crate) fn frame<Q: Encodable>(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    request: &Q,
) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u32(0);
    RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("wire")))
        .encode(&mut out, api.request_header_version(version))
        .expect("header");
    request.encode(&mut out, version).expect("request");
    let length = u32::try_from(out.len() - 4).expect("length");
    out[..4].copy_from_slice(&length.to_be_bytes());
    out.freeze()
}
