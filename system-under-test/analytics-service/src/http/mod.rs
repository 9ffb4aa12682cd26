//! The API of the analytics service: `GET /dashboards` as JSON, `GET /` as a page to read.
//!
//! * [`page`]: the page.

pub mod page;

use std::time::Duration;

use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use service_kit::http::{ApiError, Deadline};

use crate::store::{DashboardRow, Freshness, Store};

#[derive(Clone)]
struct Api {
    store: Store,
    request_limit: Duration,
}

/// The dashboards, and what is known about how true they are.
#[derive(Debug, Serialize)]
pub struct Dashboards {
    /// What the newest build says about itself; none before the first.
    pub freshness: Option<Freshness>,
    /// Oldest window first.
    pub windows: Vec<DashboardRow>,
}

/// The routes of the analytics service.
pub fn routes(store: Store, request_limit: Duration) -> Router {
    Router::new()
        .route("/dashboards", get(json))
        .route("/", get(html))
        .with_state(Api {
            store,
            request_limit,
        })
}

async fn json(State(api): State<Api>, deadline: Deadline) -> Result<Json<Dashboards>, ApiError> {
    read(&api, deadline).await.map(Json)
}

async fn html(State(api): State<Api>, deadline: Deadline) -> Result<Html<String>, ApiError> {
    let dashboards = read(&api, deadline).await?;
    Ok(Html(page::render(&dashboards)))
}

async fn read(api: &Api, deadline: Deadline) -> Result<Dashboards, ApiError> {
    let deadline = deadline.at_most(api.request_limit);
    deadline.refuse_if_over()?;
    let (windows, freshness) = deadline
        .bound(api.store.dashboards())
        .await?
        .map_err(|error| {
            tracing::warn!(%error, "the dashboards cannot be read");
            ApiError::overloaded("the database cannot serve this request now")
        })?;
    Ok(Dashboards { freshness, windows })
}
