//! `POST /orders`.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use service_kit::fail_point;
use service_kit::http::{ApiError, Deadline, json};

use super::request::{self, OrderRequest};
use super::{Api, OrderBody, PriceChangedBody, refusal};
use crate::defences::Defence;
use crate::store::place::{NewOrder, Placing, RequestKey};

/// Places an order: 201, or 200 when it was placed before under the same key.
pub(super) async fn place(
    State(api): State<Api>,
    deadline: Deadline,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let deadline = deadline.at_most(api.config.request_limit);
    deadline.refuse_if_over()?;
    if !api.intake.is_open() {
        api.shed.inc();
        return Err(too_many_wait());
    }
    let new = api.read_request(&headers, request).await?;
    deadline.refuse_if_over()?;
    let placing = deadline
        .bound(api.store.place(&new))
        .await?
        .map_err(refusal)?;
    fail_point::pass("order.after-commit-before-answer")
        .await
        .map_err(ApiError::internal)?;
    api.answer(placing)
}

/// Until then some of the messages that wait may have been published.
const COME_BACK_AFTER: Duration = Duration::from_secs(1);

fn too_many_wait() -> ApiError {
    let message = "too many orders wait to be worked on; nothing was stored";
    ApiError::overloaded(message).retry_after(COME_BACK_AFTER)
}

impl Api {
    async fn read_request(
        &self,
        headers: &HeaderMap,
        request: Request,
    ) -> Result<NewOrder, ApiError> {
        let key = request::idempotency_key(headers)?;
        let body = json::json_body(request, &()).await?;
        let request = if self.config.defences.on(Defence::StrictParsing) {
            OrderRequest::parse_strictly(&body)?
        } else {
            OrderRequest::parse_leniently(&body)?
        };
        request::check_customer(headers, &request.customer_id)?;
        let request_hash = request.hash();
        let key = key.filter(|_| self.config.defences.on(Defence::IdempotencyKey));
        let shown = request
            .shown_price()
            .filter(|_| self.config.defences.on(Defence::PriceCheck));
        Ok(NewOrder {
            shown,
            key: key.map(|key| RequestKey { key, request_hash }),
            lines: request
                .lines
                .into_iter()
                .map(|line| (line.product_id, line.quantity))
                .collect(),
            reference: request.reference,
            customer_id: request.customer_id,
            note: request.note,
        })
    }

    fn answer(&self, placing: Placing) -> Result<Response, ApiError> {
        let unprocessable = |code: &str, message: String| {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
        };
        match placing {
            Placing::Placed(order) => {
                tracing::Span::current()
                    .record("order_id", tracing::field::display(order.order_id));
                tracing::info!(
                    reference = order.reference,
                    amount_minor = order.amount_minor,
                    "order placed"
                );
                self.placed.inc();
                Ok((StatusCode::CREATED, Json(OrderBody::new(order))).into_response())
            }
            Placing::Known(order) => {
                Ok((StatusCode::OK, Json(OrderBody::new(order))).into_response())
            }
            Placing::KeyReused => {
                let message = "the idempotency key was used for another request".to_owned();
                Err(ApiError::new(
                    StatusCode::CONFLICT,
                    "idempotency_key_reused",
                    message,
                ))
            }
            Placing::UnknownProduct(line) => {
                let refusal =
                    unprocessable("unknown_product", "this product is not for sale".to_owned());
                Err(refusal.field(format!("lines[{line}].product_id")))
            }
            Placing::PriceChanged(order) => {
                Ok((StatusCode::CONFLICT, Json(PriceChangedBody::new(order))).into_response())
            }
            Placing::TooLarge => {
                let message = "the order says more than can be passed on; shorten the note";
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                Err(ApiError::new(status, "order_too_large", message).field("note"))
            }
            Placing::MixedCurrencies => {
                let message = "the products have different currencies".to_owned();
                Err(unprocessable("mixed_currencies", message).field("lines"))
            }
            Placing::AmountTooLarge => Err(unprocessable(
                "amount_too_large",
                "the sum is too large".to_owned(),
            )
            .field("lines")),
        }
    }
}
