//! A request to a service and what becomes of it.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use thiserror::Error;

/// A request as it goes to a service.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The headers that are passed on.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Whether it carries an idempotency key, so that repeating it is harmless.
    pub has_key: bool,
}

/// A service's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// The headers that are passed back.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// The headers of an answer that are passed back.
pub(super) const PASSED_BACK: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::RETRY_AFTER,
    header::LOCATION,
    header::CACHE_CONTROL,
    header::ETAG,
    header::AGE,
];

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// Certainly nothing was done.
    #[error("the service behind this route cannot be reached: {0}")]
    NothingSent(String),
    /// It may have been done.
    #[error("the service behind this route did not answer properly: {0}")]
    Failed(String),
    /// It may have been done, or may still be.
    #[error("the service behind this route did not answer in time")]
    TimedOut,
}
