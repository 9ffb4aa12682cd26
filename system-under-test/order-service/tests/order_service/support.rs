//! What the tests of this service share.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use order_service::config::Config;
use order_service::defences::Defence;
use order_service::intake::Intake;
use order_service::store::{Publication, Store};
use order_service::{MIGRATIONS, http};
use serde_json::{Value, json};
use service_kit::database::Pool;
use service_kit::defences::{Defence as _, Defences};
use service_kit::metrics::Metrics;
use service_kit::settings::Settings;
use service_testing::TestDatabase;

use tokio::sync::Notify;
use tower::ServiceExt;

/// A store over a database of its own, with three products.
pub(crate) struct Shop {
    pub(crate) database: TestDatabase,
    /// The service's own connections.
    pub(crate) pool: Pool,
    pub(crate) store: Store,
    pub(crate) config: Config,
    pub(crate) intake: Intake,
    pub(crate) metrics: Metrics,
}

impl Shop {
    pub(crate) async fn new(off: &[Defence]) -> Self {
        Self::with(off, &[]).await
    }

    /// A shop with settings of its own.
    pub(crate) async fn with(off: &[Defence], settings: &[(&str, &str)]) -> Self {
        let database = service_testing::database(&MIGRATIONS).await;
        stock_products(&database).await;
        let config = config(&database, off, settings);
        let metrics = Metrics::default();
        let pool = config.database.pool("tests");
        let store = Store::new(
            pool.clone(),
            config.store(),
            config.defences.clone(),
            Publication::ThroughOutbox(Arc::new(Notify::new())),
            &metrics,
        );
        Self {
            database,
            pool,
            store,
            config,
            intake: Intake::new(&metrics),
            metrics,
        }
    }

    pub(crate) fn routes(&self) -> Router {
        let (store, intake) = (self.store.clone(), self.intake.clone());
        http::routes(store, intake, &Metrics::default(), self.config.api())
    }

    /// Whether the metrics have this line.
    pub(crate) fn measures(&self, line: &str) -> bool {
        let text = self.metrics.text().expect("metrics");
        text.lines().any(|one| one == line)
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

    /// Sends a request to give an order up.
    pub(crate) async fn cancel(&self, order_id: uuid::Uuid) -> (StatusCode, Value) {
        let request = Request::post(format!("/orders/{order_id}/cancel"));
        self.send(request.body(Body::empty()).expect("a request"))
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

pub(crate) fn config(
    database: &TestDatabase,
    off: &[Defence],
    settings: &[(&str, &str)],
) -> Config {
    let off: Vec<_> = off.iter().map(|defence| defence.name()).collect();
    let off = off.join(",");
    let values = [
        ("DATABASE_URL", database.url.as_str()),
        ("DATABASE_CONNECTIONS", "20"),
        ("KAFKA_BROKERS", "127.0.0.1:9"),
        ("REQUEST_LIMIT_MS", "5000"),
        ("DEFENCES_OFF", off.as_str()),
    ];
    let values = values.iter().chain(settings);
    let values = values.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::read(values, Config::read).expect("good settings")
}

pub(crate) fn store(
    database: &TestDatabase,
    defences: &Defences<Defence>,
    publication: Publication,
) -> Store {
    let config = config(database, &[], &[]);
    let pool = config.database.pool("tests");
    let metrics = Metrics::default();
    Store::new(
        pool,
        config.store(),
        defences.clone(),
        publication,
        &metrics,
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
