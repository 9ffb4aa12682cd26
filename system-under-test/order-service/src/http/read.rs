//! `GET /orders/{id}` and `GET /products`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use serde::Serialize;
use service_kit::http::{ApiError, Deadline};
use uuid::Uuid;

use super::{Api, OrderBody, refusal};

/// Name of the parameter with the version of the order that its asker has seen.
const SEEN: &str = "seen";

/// An order as it is, or was a short time ago; not as it was before what the asker has seen.
pub(super) async fn order(
    State(api): State<Api>,
    deadline: Deadline,
    Path(order_id): Path<String>,
    uri: Uri,
) -> Result<Json<OrderBody>, ApiError> {
    let unknown = || ApiError::not_found(format!("there is no order `{order_id}`"));
    let id: Uuid = order_id.parse().map_err(|_| unknown())?;
    let seen = seen_version(&uri)?;
    let deadline = deadline.at_most(api.config.request_limit);
    deadline.refuse_if_over()?;
    let order = deadline
        .bound(api.store.shown_order(id, seen))
        .await?
        .map_err(refusal)?;
    order
        .map(|order| Json(OrderBody::new(Arc::unwrap_or_clone(order))))
        .ok_or_else(unknown)
}

/// The version that the asker has seen, if the request says so.
fn seen_version(uri: &Uri) -> Result<Option<i32>, ApiError> {
    let refusal = || ApiError::invalid("must be one whole number from 1").field(SEEN);
    let parameters = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let Query(parameters) = parameters.map_err(|_| refusal())?;
    let mut told = parameters.iter().filter(|(name, _)| name == SEEN);
    let Some((_, version)) = told.next() else {
        return Ok(None);
    };
    let has_only_figures = version.bytes().all(|byte| byte.is_ascii_digit());
    match version.parse() {
        Ok(version @ 1..) if has_only_figures && told.next().is_none() => Ok(Some(version)),
        _ => Err(refusal()),
    }
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
