//! The API of the inventory service: `GET /stock`.

use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use service_kit::http::{ApiError, Deadline};
use time::OffsetDateTime;

use crate::store::Store;

#[derive(Clone)]
struct Api {
    store: Store,
    request_limit: Duration,
}

/// The routes of the inventory service.
pub fn routes(store: Store, request_limit: Duration) -> Router {
    Router::new().route("/stock", get(stock)).with_state(Api {
        store,
        request_limit,
    })
}

/// Stock of a product as the API shows it.
#[derive(Debug, Serialize)]
struct StockBody {
    product_id: String,
    on_hand: i32,
    /// When that was so; it may have changed since.
    #[serde(with = "time::serde::rfc3339")]
    as_of: OffsetDateTime,
}

async fn stock(
    State(api): State<Api>,
    deadline: Deadline,
) -> Result<Json<Vec<StockBody>>, ApiError> {
    let deadline = deadline.at_most(api.request_limit);
    deadline.refuse_if_over()?;
    let shown = deadline.bound(api.store.shown_stock()).await?;
    let shown = shown.map_err(|error| {
        tracing::warn!(%error, "the stock cannot be read");
        ApiError::overloaded("the database cannot serve this request now")
    })?;
    let body = shown.stock.iter().map(|stock| StockBody {
        product_id: stock.product_id.clone(),
        on_hand: stock.on_hand,
        as_of: shown.as_of,
    });
    Ok(Json(body.collect()))
}
