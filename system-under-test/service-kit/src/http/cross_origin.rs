//! Which web pages may call an API from a browser: cross-origin resource sharing, as the Fetch standard defines it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use crate::settings::Settings;

/// Methods that a page may use.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE");
/// Headers that a page may send.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, authorization, content-type, idempotency-key, if-none-match, traceparent, x-client-id, x-deadline-ms, \
     x-request-id",
);
/// Headers of an answer that a page may read.
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static(
    "age, etag, location, retry-after, traceparent, www-authenticate, x-request-id",
);
/// For so long a browser need not ask again, in seconds; short, so that a changed list takes effect soon.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("60");

/// Which pages may call an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrossOrigin {
    /// Pages of these origins, without credentials of the browser's own; requests of all others are refused.
    Listed(Vec<HeaderValue>),
    /// Any page, with the browser's credentials: what nobody should configure, for drills that show why.
    WideOpen,
}

impl CrossOrigin {
    /// Reads `ALLOWED_ORIGINS`: origins such as `https://shop.example`, separated by commas. No page may call without it.
    pub fn read(settings: &mut Settings) -> Self {
        let text = settings.text(
            "ALLOWED_ORIGINS",
            "",
            "origins of pages that may call, separated by commas; none may without it",
        );
        let mut listed = Vec::new();
        for origin in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            match HeaderValue::from_str(origin) {
                Ok(value) if is_origin(origin) => listed.push(value),
                _ => settings.problem(
                    "ALLOWED_ORIGINS",
                    format!("`{origin}` is not an origin such as https://shop.example or https://127.0.0.1:8443"),
                ),
            }
        }
        Self::Listed(listed)
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Listed(origins) => origins.contains(origin),
            Self::WideOpen => true,
        }
    }

    /// What a browser asks before it sends a request that a plain form could not send.
    fn preflight(&self, asked: &HeaderMap) -> Response {
        let (methods, headers) = match self {
            Self::Listed(_) => (METHODS, REQUEST_HEADERS),
            Self::WideOpen => {
                let reflected = |name: HeaderName, otherwise: HeaderValue| {
                    asked.get(name).cloned().unwrap_or(otherwise)
                };
                (
                    reflected(header::ACCESS_CONTROL_REQUEST_METHOD, METHODS),
                    reflected(header::ACCESS_CONTROL_REQUEST_HEADERS, REQUEST_HEADERS),
                )
            }
        };
        let allowed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, headers),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S),
        ];
        (StatusCode::NO_CONTENT, allowed).into_response()
    }
}

/// Scheme, host and port as a browser writes them: no path, not even `/`.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let written = match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => format!("{scheme}://{authority}"),
        _ => return false,
    };
    written == text && !text.contains('@')
}

/// Answers preflights, refuses pages that are not allowed before anything is done for them, and marks the other answers
/// as readable. Requests without an `Origin` do not come from a page and pass.
pub(super) async fn guard(
    State(policy): State<Arc<CrossOrigin>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return varying(next.run(request).await);
    };
    if !policy.allows(&origin) {
        tracing::warn!(?origin, "a page of another origin was refused");
        let message = "pages of this origin may not call this API; its operator lists those that may in ALLOWED_ORIGINS";
        let refusal = ApiError::new(StatusCode::FORBIDDEN, "origin_not_allowed", message);
        return varying(refusal.into_response());
    }
    let headers = request.headers();
    let is_preflight = request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        policy.preflight(headers)
    } else {
        next.run(request).await
    };
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
    if *policy == CrossOrigin::WideOpen {
        let yes = HeaderValue::from_static("true");
        answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
    varying(response)
}

/// A cache must not give one origin the answer that was meant for another.
fn varying(mut response: Response) -> Response {
    let origin = HeaderValue::from_static("origin");
    response.headers_mut().append(header::VARY, origin);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origins_are_accepted() {
        for good in [
            "https://shop.example",
            "http://127.0.0.1:8080",
            "https://[::1]:8443",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "null",
            "shop.example",
            "https://shop.example/",
            "https://shop.example/page",
            "ftp://shop.example",
            "https://user@shop.example",
            "",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn a_wrong_origin_is_a_problem_of_the_settings() {
        let read = |text: &str| {
            let values = [("ALLOWED_ORIGINS".to_owned(), text.to_owned())];
            Settings::read(values, CrossOrigin::read)
        };
        let two = read("https://a.example, https://b.example").expect("two origins");
        assert!(two.allows(&HeaderValue::from_static("https://b.example")));
        assert!(!two.allows(&HeaderValue::from_static("https://c.example")));
        assert!(!two.allows(&HeaderValue::from_static("null")));
        let problem = read("https://a.example, *").expect_err("a star is no origin");
        assert!(
            problem
                .to_string()
                .contains("ALLOWED_ORIGINS: `*` is not an origin"),
            "{problem}"
        );
        assert_eq!(read("").expect("nothing"), CrossOrigin::Listed(Vec::new()));
    }
}
