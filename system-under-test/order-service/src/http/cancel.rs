//! `POST /orders/{id}/cancel`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use service_kit::http::{ApiError, Deadline};
use uuid::Uuid;

use super::{Api, OrderBody, refusal};
use crate::store::cancel::Cancelling;

/// Gives an order up: 200 with the order, also when it was given up before; 409 when it is too late.
pub(super) async fn cancel(
    State(api): State<Api>,
    deadline: Deadline,
    Path(order_id): Path<String>,
) -> Result<Json<OrderBody>, ApiError> {
    let unknown = || ApiError::not_found(format!("there is no order `{order_id}`"));
    let id: Uuid = order_id.parse().map_err(|_| unknown())?;
    let deadline = deadline.at_most(api.config.request_limit);
    deadline.refuse_if_over()?;
    let given_up = deadline
        .bound(api.store.cancel(id))
        .await?
        .map_err(refusal)?;
    match given_up {
        Cancelling::GivenUp(order) => Ok(Json(OrderBody::new(order))),
        Cancelling::TooLate(order) => {
            let message = format!(
                "the order is {} and cannot be given up any more",
                order.state
            );
            Err(ApiError::new(StatusCode::CONFLICT, "too_late", message))
        }
        Cancelling::NoOrder => Err(unknown()),
    }
}
