//! Which version of the public API is meant, and in which is answered.
//!
//! Version 1 is all there is; a script can retire it. Who names no version is served in the newest one, and after the
//! retirement that is one which does not know the bodies of version 1.

use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use crate::problem::Problem;

/// Where a request says which version it means, and an answer in which it is.
const HEADER: &str = "provider-version";

/// The version that is served.
const VERSION: &str = "1";

/// The version that a request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// None is named: the newest that is served is meant.
    Newest,
    /// Version 1.
    One,
}

impl Version {
    /// The version that the headers of a request name.
    ///
    /// # Errors
    /// There is no such version.
    pub(super) fn asked(headers: &HeaderMap) -> Result<Self, Problem> {
        match headers.get(HEADER).map(HeaderValue::as_bytes) {
            None => Ok(Self::Newest),
            Some(b"1") => Ok(Self::One),
            Some(_) => Err(Problem::unknown_version()),
        }
    }

    /// What a request of version 1 is told after the retirement of that version: that it is gone, where the request names
    /// it; otherwise what version 2 has to say to such a body.
    pub(super) fn after_retirement(self) -> Problem {
        match self {
            Self::Newest => Problem::invalid("missing field `capture`"),
            Self::One => Problem::version_retired(),
        }
    }
}

/// Has an answer say in which version it is.
pub(super) async fn name(mut answer: Response) -> Response {
    let version = HeaderValue::from_static(VERSION);
    answer.headers_mut().insert(HEADER, version);
    answer
}
