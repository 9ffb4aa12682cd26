//! The public API: `POST /messages`.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::desk::Wish;
use crate::idempotency_key::key_of;
use crate::message_provider::domain::{Channel, Invalid, MessageRequest};
use crate::message_provider::mailbox::{Delivery, DeliveryError, Message};
use crate::message_provider::{AFTER_BOOKING, Provider};
use crate::problem::Problem;

/// Largest body of a request, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// Router of the public API.
pub fn router(provider: Provider) -> Router {
    Router::new()
        .route("/messages", post(create_message))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(provider)
}

async fn create_message(
    State(provider): State<Provider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let key = key_of(&headers)?;
    let request = MessageRequest::parse(&body)?;
    provider.mailbox.count_request(&request).await?;
    provider.metrics.asked(request.channel);
    let desk = provider.desk.clone();
    let wanted = Wanted {
        provider,
        request,
        key,
    };
    desk.serve(wanted).await
}

/// A message that is wanted, with the key it came with.
struct Wanted {
    provider: Provider,
    request: MessageRequest,
    key: Option<String>,
}

impl Wish for Wanted {
    type Kind = Channel;

    const AFTER_BOOKING: &'static str = AFTER_BOOKING;

    fn kind(&self) -> Channel {
        self.request.channel
    }

    async fn book(&self) -> Result<Response, Problem> {
        let mailbox = &self.provider.mailbox;
        Ok(
            match mailbox.deliver(&self.request, self.key.as_deref()).await? {
                Delivery::Delivered(message) => {
                    self.provider.metrics.delivered(self.request.channel);
                    shown(StatusCode::CREATED, &message)
                }
                Delivery::Repeated(message) => shown(StatusCode::OK, &message),
            },
        )
    }

    async fn decline(&self) -> Result<Response, Problem> {
        let message = "the recipient is not accepted";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Err(Problem::new(status, "recipient_refused", message))
    }

    fn error_in_disguise(&self) -> Response {
        let error = json!({ "code": "processing_error", "message": "nothing was delivered" });
        answer(StatusCode::OK, json!({ "error": error }))
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid)
    }
}

impl From<DeliveryError> for Problem {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::Storage(error) => error.into(),
            DeliveryError::KeyReused => {
                Self::new(StatusCode::CONFLICT, "idempotency_key_reused", error)
            }
        }
    }
}

/// A message, as the public API shows it.
fn shown(status: StatusCode, message: &Message) -> Response {
    let body = json!({
        "message_id": message.message_id,
        "status": "accepted",
        "channel": message.channel,
        "reference": message.reference,
        "kind": message.kind,
    });
    answer(status, body)
}

fn answer(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}
