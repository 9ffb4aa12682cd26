//! Reads a request's body, within a limit that holds for bodies that do not announce their length as well.

use axum::body::{Body, Bytes};
use futures::StreamExt;

/// How many times the limit is read and thrown away after it was exceeded, so that a client that is still sending gets
/// to read its refusal instead of a reset connection.
const DISCARD_FACTOR: usize = 8;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// It exceeds the limit.
    TooLarge,
    /// The client stopped sending it.
    Broken,
}

/// Reads a body into memory; `limit` in bytes, `None` for whatever comes.
pub(super) async fn read(body: Body, limit: Option<usize>) -> Result<Bytes, BodyError> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut kept = Vec::new();
    let mut seen = 0_usize;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyError::Broken)?;
        seen = seen.saturating_add(chunk.len());
        if seen <= limit {
            kept.extend_from_slice(&chunk);
            continue;
        }
        kept = Vec::new();
        if seen > limit.saturating_mul(DISCARD_FACTOR) {
            break;
        }
    }
    if seen > limit {
        Err(BodyError::TooLarge)
    } else {
        Ok(kept.into())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn in_chunks(count: usize, size: usize) -> (Body, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        let chunks = (0..count).map(move |_| {
            counter.fetch_add(size, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; size]))
        });
        (Body::from_stream(futures::stream::iter(chunks)), taken)
    }

    #[tokio::test]
    async fn the_limit_itself_fits_and_one_byte_more_does_not() {
        let (body, _) = in_chunks(10, 10);
        assert_eq!(read(body, Some(100)).await.map(|body| body.len()), Ok(100));
        let (body, _) = in_chunks(10, 10);
        assert_eq!(read(body, Some(99)).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn an_endless_body_is_given_up() {
        let (body, taken) = in_chunks(usize::MAX, 10);
        assert_eq!(read(body, Some(100)).await, Err(BodyError::TooLarge));
        assert!(taken.load(Ordering::Relaxed) <= 100 * DISCARD_FACTOR + 20);
    }

    #[tokio::test]
    async fn without_a_limit_everything_is_read() {
        let (body, _) = in_chunks(1_000, 1_000);
        assert_eq!(read(body, None).await.map(|body| body.len()), Ok(1_000_000));
    }
}
