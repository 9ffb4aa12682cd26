//! What the tests of this service share.
#![allow(dead_code, reason = "each test program uses its own part")]

use contracts::{Envelope, Line, OrderEvent, OrderEventBody, OrderEventKind};
use inventory_service::MIGRATIONS;
use inventory_service::cache::StockCache;
use inventory_service::defences::Defence;
use inventory_service::store::Store;
use serde_json::Value;
use service_kit::database::DatabaseSettings;
use service_kit::defences::Defences;
use service_kit::settings::Settings;
use service_testing::TestDatabase;
use time::OffsetDateTime;
use uuid::Uuid;

/// A store over a database of its own.
pub(crate) struct Warehouse {
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
    /// What the store shows of the stock; only a change ends it.
    pub(crate) cache: StockCache,
}

impl Warehouse {
    /// `products` products, `p-0` and so on, with so many units of each.
    pub(crate) async fn new(off: &[Defence], products: i32, units: i32) -> Self {
        let database = service_testing::database(&MIGRATIONS).await;
        sqlx::query("insert into stock select 'p-' || number, $2, $2 from generate_series(0, $1 - 1) as number")
            .bind(products)
            .bind(units)
            .execute(&database.pool)
            .await
            .expect("stock");
        let values = [
            ("DATABASE_URL", database.url.as_str()),
            ("DATABASE_CONNECTIONS", "30"),
            // On a busy machine the same orders meet again and again.
            ("DATABASE_TRANSACTION_ATTEMPTS", "50"),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::read(values, DatabaseSettings::read).expect("good settings");
        let defences = Defences::without(off.iter().copied());
        let cache = StockCache::new(None);
        let store = Store::new(settings.pool("tests"), settings, defences, cache.clone());
        Self {
            database,
            store,
            cache,
        }
    }

    /// Counts rows, or whatever else the query returns as one number.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.database.pool)
            .await
            .expect("counted")
    }

    pub(crate) async fn on_hand(&self, product_id: &str) -> i32 {
        sqlx::query_scalar("select on_hand from stock where product_id = $1")
            .bind(product_id)
            .fetch_one(&self.database.pool)
            .await
            .expect("there")
    }

    /// Units of a product that were given to orders.
    pub(crate) async fn given(&self) -> i64 {
        self.count("select coalesce(sum(quantity), 0)::bigint from stock_moves")
            .await
    }
}

/// A new order's event that it was paid.
pub(crate) fn paid(lines: &[(&str, i32)]) -> OrderEvent {
    event(OrderEventKind::Paid, lines)
}

pub(crate) fn event(kind: OrderEventKind, lines: &[(&str, i32)]) -> OrderEvent {
    let line = |(product_id, quantity): &(&str, i32)| Line {
        product_id: (*product_id).to_owned(),
        quantity: *quantity,
    };
    let lines = lines.iter().map(line).collect();
    let body = OrderEventBody {
        kind,
        sequence: 3,
        lines,
        amount_minor: 100,
        currency: "EUR".to_owned(),
        customer_id: "c-1".to_owned(),
    };
    Envelope::once_per_order(Uuid::new_v4(), OffsetDateTime::now_utc(), body)
}

/// The kind of an answer.
pub(crate) fn kind(answer: &Option<Value>) -> &str {
    answer
        .as_ref()
        .and_then(|answer| answer["kind"].as_str())
        .unwrap_or("none")
}
