//! The API of the order service.
//!
//! * [`request`]: what a customer sends, read strictly.
//! * [`place`]: `POST /orders`.
//! * [`cancel`]: `POST /orders/{id}/cancel`.
//! * [`read`]: `GET /orders/{id}`, `GET /products`.

pub mod cancel;
pub mod place;
pub mod read;
pub mod request;

use axum::Router;
use axum::routing::{get, post};
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use service_kit::http::ApiError;
use service_kit::http::error::ErrorDetail;
use service_kit::metrics::Metrics;
use uuid::Uuid;

use crate::config::ApiConfig;
use crate::domain::{Order, PricedLine};
use crate::intake::Intake;
use crate::store::{Store, StoreError};

/// What the routes share.
#[derive(Clone)]
pub struct Api {
    store: Store,
    intake: Intake,
    config: ApiConfig,
    placed: Counter,
    shed: Counter,
}

/// The routes of the order service.
pub fn routes(store: Store, intake: Intake, metrics: &Metrics, config: ApiConfig) -> Router {
    let placed = metrics.counter(
        "orders_placed",
        "Orders accepted, repeated requests not counted",
    );
    let shed = metrics.counter(
        "orders_shed",
        "Orders refused because too many messages wait in the outbox",
    );
    Router::new()
        .route("/orders", post(place::place))
        .route("/orders/{order_id}/cancel", post(cancel::cancel))
        .route("/orders/{order_id}", get(read::order))
        .route("/products", get(read::products))
        .with_state(Api {
            store,
            intake,
            config,
            placed,
            shed,
        })
}

/// An order as the API shows it.
#[derive(Debug, Serialize)]
pub struct OrderBody {
    order_id: Uuid,
    reference: String,
    state: &'static str,
    amount_minor: i64,
    currency: String,
    lines: Vec<LineBody>,
    /// Counts the changes of its state: who has seen it may say so when asking again.
    version: i32,
}

/// A line of an order as the API shows it.
#[derive(Debug, Serialize)]
pub struct LineBody {
    product_id: String,
    quantity: i32,
    price_minor: i64,
}

/// Why an order was not taken at the price that the customer was shown, and what it costs now.
#[derive(Debug, Serialize)]
pub struct PriceChangedBody {
    error: ErrorDetail,
    amount_minor: i64,
    currency: String,
    lines: Vec<LineBody>,
}

impl PriceChangedBody {
    fn new(order: Order) -> Self {
        let message = "the order costs another sum than was shown; nothing was stored";
        Self {
            error: ErrorDetail {
                code: "price_changed".to_owned(),
                message: message.to_owned(),
                field: Some("amount_minor".to_owned()),
            },
            amount_minor: order.amount_minor,
            currency: order.currency,
            lines: order.lines.into_iter().map(LineBody::new).collect(),
        }
    }
}

impl LineBody {
    fn new(line: PricedLine) -> Self {
        Self {
            product_id: line.product_id,
            quantity: line.quantity,
            price_minor: line.price_minor,
        }
    }
}

impl OrderBody {
    fn new(order: Order) -> Self {
        Self {
            order_id: order.order_id,
            reference: order.reference,
            state: order.state.name(),
            amount_minor: order.amount_minor,
            currency: order.currency,
            lines: order.lines.into_iter().map(LineBody::new).collect(),
            version: order.version,
        }
    }
}

/// 503 when certainly nothing was stored, 500 when that is unknown.
fn refusal(error: StoreError) -> ApiError {
    match error {
        StoreError::NothingDone(cause) => {
            tracing::warn!(%cause, "the database cannot serve a request");
            ApiError::overloaded("the database cannot serve this request now; nothing was stored")
        }
        StoreError::SchemaDiffers(_)
        | StoreError::GivenUp(_)
        | StoreError::Overtaken
        | StoreError::Injected(_) => ApiError::overloaded(format!("nothing was stored: {error}")),
        unknown => ApiError::internal(unknown),
    }
}
