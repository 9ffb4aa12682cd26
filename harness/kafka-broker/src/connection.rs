//! One connection: frames in, answers out, strictly in order.

use crate::api::{Answer, Call, answer};
use crate::cluster::Cluster;
use crate::events::{EventKind, Origin};
use crate::listeners::Listener;
use crate::protocol::{FrameError, check_shape, read_frame, supports};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The client sent what no client of this broker sends.
    Hostile(String),
    /// The broker could not write its own answer.
    Defect(String),
    /// The client left, the network failed, or a fault rule wanted it.
    Quiet(String),
}

impl Ended {
    pub(crate) fn hostile(reason: impl std::fmt::Display) -> Self {
        Self::Hostile(reason.to_string())
    }

    pub(crate) fn quiet(reason: impl std::fmt::Display) -> Self {
        Self::Quiet(reason.to_string())
    }
}

impl From<FrameError> for Ended {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Length { .. } => Self::hostile(error),
            FrameError::Closed | FrameError::Io(_) => Self::quiet(error),
        }
    }
}

/// What a connection keeps between its requests.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Woken by new data while a fetch of this connection waits.
    pub(crate) data: Arc<Notify>,
    /// The partitions of the last fetch.
    pub(crate) fetched: Vec<(String, i32)>,
    /// What the answer delivers, once it is handed over.
    pub(crate) delivers: Vec<EventKind>,
    /// To whom.
    pub(crate) origin: Option<Origin>,
    /// For how long no further request is read, because the answer asks the client to be quiet.
    pub(crate) muted_for: Duration,
}

/// Serves requests until the connection ends.
pub(crate) async fn serve(
    cluster: &Cluster,
    listener: &Listener,
    stream: TcpStream,
    peer: SocketAddr,
) -> Ended {
    if let Err(error) = stream.set_nodelay(true) {
        return Ended::quiet(error);
    }
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(64 * 1024, reader);
    let mut session = Session::default();
    let host = peer.ip().to_string();
    let max_idle = cluster.config.max_idle;
    loop {
        let reading = read_frame(&mut reader, cluster.config.max_frame_bytes);
        let frame = match timeout(max_idle, reading).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(error)) => return error.into(),
            Err(_) => return Ended::quiet("no whole request within connections.max.idle.ms"),
        };
        listener.count_request();
        let answering = answer_frame(cluster, listener, &mut session, &host, frame);
        let answered = tokio::select! {
            biased;
            answered = answering => answered,
            () = client_left(&mut reader) => return Ended::quiet("closed by the client while a request waited"),
        };
        match answered {
            Ok(Some(answer)) => match timeout(max_idle, writer.write_all(&answer)).await {
                Ok(Ok(())) => deliver(cluster, &mut session),
                Ok(Err(error)) => return Ended::quiet(error),
                Err(_) => return Ended::quiet("answer not taken within connections.max.idle.ms"),
            },
            Ok(None) => {}
            Err(ended) => return ended,
        }
        // As Kafka does (KIP-219): a client that does not heed the throttle time waits all the same.
        let muted_for = std::mem::take(&mut session.muted_for);
        if !muted_for.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(muted_for) => {}
                () = client_left(&mut reader) => return Ended::quiet("closed by the client while throttled"),
            }
        }
    }
}

/// Tells those who watch events what the answer that was just handed over delivers.
fn deliver(cluster: &Cluster, session: &mut Session) {
    if session.delivers.is_empty() {
        return;
    }
    let mut models = cluster.models();
    models.journal.act_for(session.origin.take());
    for kind in session.delivers.drain(..) {
        models.publish(|| kind);
    }
    models.journal.act_for(None);
}

/// Returns when the client closes; never while further requests of it are waiting to be read.
async fn client_left(reader: &mut BufReader<OwnedReadHalf>) {
    if reader.buffer().is_empty() {
        match reader.get_mut().peek(&mut [0]).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    std::future::pending().await
}

/// Answers one frame with a whole frame, or with none where the protocol has none.
async fn answer_frame(
    cluster: &Cluster,
    listener: &Listener,
    session: &mut Session,
    host: &str,
    mut frame: Bytes,
) -> Result<Option<Bytes>, Ended> {
    let (key, version, correlation_id) = {
        let mut start = frame.slice(..8);
        (start.get_i16(), start.get_i16(), start.get_i32())
    };
    let api = ApiKey::try_from(key).map_err(|()| Ended::hostile(format!("unknown API {key}")))?;
    let known = supports(api, version);
    if !known && api != ApiKey::ApiVersions {
        return Err(Ended::hostile(format!(
            "unsupported version {version} of {api:?}"
        )));
    }
    let named = |error: &dyn std::fmt::Display| {
        Ended::hostile(format!("{api:?} version {version}: {error}"))
    };
    let mut out = BytesMut::with_capacity(512);
    out.put_u32(0);
    // An unknown version of ApiVersions is answered in version 0, so that client and broker can agree on one.
    let answered_version = if known { version } else { 0 };
    ResponseHeader::default()
        .with_correlation_id(correlation_id)
        .encode(&mut out, api.response_header_version(answered_version))
        .map_err(|error| named(&error))?;
    let mut client_id = String::new();
    if known {
        let header = RequestHeader::decode(&mut frame, api.request_header_version(version))
            .map_err(|error| named(&error))?;
        client_id = header
            .client_id
            .map(|id| id.to_string())
            .unwrap_or_default();
        check_shape(api, version, &frame).map_err(|error| named(&error))?;
    } else {
        frame.clear();
    }
    let call = Call::new(cluster, listener, session, version, &client_id, host);
    match answer(call, api, frame, &mut out).await? {
        Answer::None => Ok(None),
        Answer::Encoded => {
            let length = u32::try_from(out.len() - 4).map_err(|error| named(&error))?;
            out[..4].copy_from_slice(&length.to_be_bytes());
            Ok(Some(out.freeze()))
        }
    }
}
