//! `GET /orders/{id}` and `GET /products`.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use service_kit::http::{ApiError, Deadline};
use uuid::Uuid;

use super::{Api, OrderBody, refusal};

/// An order with its version.
pub(super) async fn order(
    State(api): State<Api>,
    deadline: Deadline,
    Path(order_id): Path<String>,
) -> Result<Json<OrderBody>, ApiError> {
    let unknown = || ApiError::not_found(format!("there is no order `{order_id}`"));
    let id: Uuid = order_id.parse().map_err(|_| unknown())?;
    let deadline = deadline.at_most(api.config.request_limit);
    deadline.refuse_if_over()?;
    let order = deadline
        .bound(api.store.order(id))
        .await?
        .map_err(refusal)?;
    order
        .map(|order| Json(OrderBody::with_version(order)))
        .ok_or_else(unknown)
}

/// A product as the API shows it.
#[derive(Debug, Serialize)]
pub(super) struct ProductBody {
    product_id: String,
    price_minor: i64,
    currency: String,
}

/// Everything that is for sale.
pub(super) async fn products(
    State(api): State<Api>,
    deadline: Deadline,
) -> Result<Json<Vec<ProductBody>>, ApiError> {
    let deadline = deadline.at_most(api.config.request_limit);
    deadline.refuse_if_over()?;
    let products = deadline
        .bound(api.store.products())
        .await?
        .map_err(refusal)?;
    let body = products.into_iter().map(|product| ProductBody {
        product_id: product.product_id,
        price_minor: product.price_minor,
        currency: product.currency,
    });
    Ok(Json(body.collect()))
}
