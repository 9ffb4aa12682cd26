//! What the tests of this service share.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use order_service::config::ApiConfig;
use order_service::defences::Defence;
use order_service::store::{Publication, Store};
use order_service::{MIGRATIONS, http};
use serde_json::{Value, json};
use service_kit::database::DatabaseSettings;
use service_kit::defences::Defences;
use service_kit::metrics::Metrics;
use service_kit::settings::Settings;
use service_kit::testing::{self, TestDatabase};
use tokio::sync::Notify;
use tower::ServiceExt;

/// A store over a database of its own, with three products.
pub(crate) struct Shop {
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
    defences: Defences<Defence>,
}

impl Shop {
    pub(crate) async fn new(off: &[Defence]) -> Self {
        let database = testing::database(&MIGRATIONS).await;
        stock_products(&database).await;
        let defences = Defences::without(off.iter().copied());
        let publication = Publication::ThroughOutbox(Arc::new(Notify::new()));
        let store = store(&database, &defences, publication);
        Self {
            database,
            store,
            defences,
        }
    }

    pub(crate) fn routes(&self) -> Router {
        let config = ApiConfig {
            defences: self.defences.clone(),
            request_limit: std::time::Duration::from_secs(5),
        };
        http::routes(self.store.clone(), &Metrics::default(), config)
    }

    /// Sends a request to place an order.
    pub(crate) async fn post(&self, key: Option<&str>, body: &str) -> (StatusCode, Value) {
        let mut request = Request::post("/orders").header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(
            request
                .body(Body::from(body.to_owned()))
                .expect("a request"),
        )
        .await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.routes().oneshot(request).await.expect("an answer");
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 1_000_000)
            .await
            .expect("a body");
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    /// Counts rows, or whatever else the query returns as one number.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.database.pool)
            .await
            .expect("counted")
    }
}

pub(crate) async fn stock_products(database: &TestDatabase) {
    let sql = "insert into products values ('p-0001', 150, 'EUR'), ('p-0002', 1000, 'EUR'), ('p-usd', 1, 'USD')";
    sqlx::query(sql)
        .execute(&database.pool)
        .await
        .expect("products");
}

pub(crate) fn store(
    database: &TestDatabase,
    defences: &Defences<Defence>,
    publication: Publication,
) -> Store {
    let values = [
        ("DATABASE_URL", database.url.as_str()),
        ("DATABASE_CONNECTIONS", "20"),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::read(values, DatabaseSettings::read).expect("good settings");
    Store::new(
        settings.pool("tests"),
        settings,
        defences.clone(),
        publication,
    )
}

/// A request for two units of the first product.
pub(crate) fn order(reference: &str) -> String {
    let lines = [json!({"product_id": "p-0001", "quantity": 2})];
    json!({"reference": reference, "customer_id": "c-1", "lines": lines}).to_string()
}

pub(crate) fn id_of(answer: &Value) -> uuid::Uuid {
    answer["order_id"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("an order's id")
}
