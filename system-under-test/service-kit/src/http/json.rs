//! JSON bodies, read strictly: whatever does not fit is refused with the path of the offending field.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A JSON body of type `T`.
///
/// Refusals: 415 without a JSON content type, 413 above the body limit, 400 with the offending field otherwise.
#[derive(Debug, Clone, Copy)]
pub struct StrictJson<T>(pub T);

impl<S, T> FromRequest<S> for StrictJson<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = json_body(request, state).await?;
        parse(&body).map(Self)
    }
}

/// The bytes of a body that says it is JSON.
///
/// # Errors
/// 415 without a JSON content type, 413 above the body limit, 400 when the body breaks off.
pub async fn json_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|text| {
        text.split(';')
            .next()
            .is_some_and(|kind| kind.trim() == "application/json")
    });
    if !is_json {
        let message = "the content type must be application/json";
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            message,
        ));
    }
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "body_too_large",
                    rejection.body_text(),
                )
            } else {
                ApiError::invalid(rejection.body_text())
            }
        })
}

/// Reads JSON; an error names the field by its path.
///
/// # Errors
/// 400 with the path of the offending field, if the text got so far.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        // `?` stands for a part of the text that broke off before its name was read.
        let path = error.path().to_string();
        let path = path.trim_end_matches(['?', '.']);
        let refusal = ApiError::invalid(error.inner().to_string());
        if path.is_empty() {
            refusal
        } else {
            refusal.field(path)
        }
    })?;
    reader
        .end()
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        #[serde(rename = "quantity")]
        _quantity: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[serde(rename = "lines")]
        _lines: Vec<Line>,
    }

    fn refused(text: &str) -> ApiError {
        parse::<Order>(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn the_offending_field_is_named() {
        assert_eq!(
            refused(r#"{"lines":[{"quantity":1},{"quantity":"x"}]}"#).offending_field(),
            Some("lines[1].quantity")
        );
        assert_eq!(
            refused(r#"{"lines":[{"quantity":1,"gift":true}]}"#).offending_field(),
            Some("lines[0].gift")
        );
        assert_eq!(
            refused(r#"{"lines":[{}]}"#).offending_field(),
            Some("lines[0]")
        );
    }

    #[test]
    fn broken_text_is_refused_too() {
        for text in [
            "",
            "{",
            r#"{"lines":[]"#,
            r#"{"lines":[]} {}"#,
            "[]",
            "\u{1}",
        ] {
            let refusal = refused(text);
            assert_eq!(refusal.status(), StatusCode::BAD_REQUEST, "{text}");
            assert!(
                !refusal.offending_field().unwrap_or_default().contains('?'),
                "{text}"
            );
        }
        assert!(parse::<Order>(br#"{"lines":[]}"#).is_ok());
    }
}
