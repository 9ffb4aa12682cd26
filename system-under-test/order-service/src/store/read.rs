//! Orders and products as they are.

use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::{Order, PricedLine};

/// Something that is for sale.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Product {
    /// The product.
    pub product_id: String,
    /// Price of one unit in minor units.
    pub price_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

#[derive(sqlx::FromRow)]
struct OrderRow {
    reference: String,
    customer_id: String,
    state: String,
    version: i32,
    amount_minor: i64,
    currency: String,
    note: Option<String>,
}

impl Store {
    /// An order with its lines.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn order(&self, order_id: Uuid) -> Result<Option<Order>, StoreError> {
        let read = async {
            let mut lent = self.pool.acquire().await?;
            let order = order(&mut lent, order_id).await?;
            lent.give_back();
            Ok(order)
        };
        self.settings.database.bounded(read).await
    }

    /// An order for somebody who only looks, and has `seen` a version of it: as it was last read here, if that is not long ago.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn shown_order(
        &self,
        order_id: Uuid,
        seen: Option<i32>,
    ) -> Result<Option<Arc<Order>>, StoreError> {
        if let Some(copy) = self.copies.get(order_id, seen) {
            return Ok(Some(copy));
        }
        let order = self.order(order_id).await?;
        Ok(order.map(|order| self.copies.keep(order)))
    }

    /// Everything that is for sale.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn products(&self) -> Result<Vec<Product>, StoreError> {
        let read = async {
            let sql = "select product_id, price_minor, currency from products order by product_id";
            Ok(sqlx::query_as(sql).fetch_all(&self.pool).await?)
        };
        self.settings.database.bounded(read).await
    }
}

/// An order with its lines, as a transaction sees it.
pub(super) async fn order(
    connection: &mut PgConnection,
    order_id: Uuid,
) -> Result<Option<Order>, StoreError> {
    let row: Option<OrderRow> = sqlx::query_as(
        "select reference, customer_id, state, version, amount_minor, currency, note from orders where order_id = $1",
    )
    .bind(order_id)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let lines: Vec<(String, i32, i64)> =
        sqlx::query_as("select product_id, quantity, price_minor from order_lines where order_id = $1 order by line")
            .bind(order_id)
            .fetch_all(connection)
            .await?;
    let line = |(product_id, quantity, price_minor)| PricedLine {
        product_id,
        quantity,
        price_minor,
    };
    Ok(Some(Order {
        order_id,
        reference: row.reference,
        customer_id: row.customer_id,
        state: row.state.parse()?,
        version: row.version,
        amount_minor: row.amount_minor,
        currency: row.currency,
        lines: lines.into_iter().map(line).collect(),
        note: row.note,
    }))
}
