//! Reading one length-prefixed frame with a size limit.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// API key, version and correlation id: nothing shorter is a request.
const MIN_FRAME_BYTES: usize = 8;
/// A frame's buffer grows in steps of at most this, so that a length alone allocates little.
const STEP_BYTES: usize = 1 << 20;

/// Why no further frame can be read from a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The client closed between two frames.
    #[error("closed by the client")]
    Closed,
    /// The connection ended inside a frame, or failed.
    #[error("connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The length prefix is not that of a request, or over the limit.
    #[error("a frame of {length} bytes (allowed: {MIN_FRAME_BYTES} to {limit})")]
    Length {
        /// What the prefix says.
        length: u32,
        /// The configured limit in bytes.
        limit: usize,
    },
}

/// Reads the next frame without its length prefix; at most `limit` bytes.
pub(crate) async fn read_frame<R>(reader: &mut R, limit: usize) -> Result<Bytes, FrameError>
where
    R: AsyncRead + Unpin,
{
    let mut prefix = [0; 4];
    if reader.read(&mut prefix[..1]).await? == 0 {
        return Err(FrameError::Closed);
    }
    reader.read_exact(&mut prefix[1..]).await?;
    let length = u32::from_be_bytes(prefix);
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    if wanted < MIN_FRAME_BYTES || wanted > limit {
        return Err(FrameError::Length { length, limit });
    }
    let mut frame = BytesMut::with_capacity(wanted.min(STEP_BYTES));
    while frame.len() < wanted {
        let missing = wanted - frame.len();
        frame.reserve(missing.min(STEP_BYTES));
        let mut part = (&mut *reader).take(missing as u64);
        if part.read_buf(&mut frame).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(frame.freeze())
}
