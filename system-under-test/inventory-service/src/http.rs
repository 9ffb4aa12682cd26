//! The API of the inventory service: `GET /stock`.

use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use service_kit::http::{ApiError, Deadline};

use crate::store::{Stock, Store};

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

async fn stock(State(api): State<Api>, deadline: Deadline) -> Result<Json<Vec<Stock>>, ApiError> {
    let deadline = deadline.at_most(api.request_limit);
    deadline.refuse_if_over()?;
    let stock = deadline.bound(api.store.stock()).await?;
    stock.map(Json).map_err(|error| {
        tracing::warn!(%error, "the stock cannot be read");
        ApiError::overloaded("the database cannot serve this request now")
    })
}
