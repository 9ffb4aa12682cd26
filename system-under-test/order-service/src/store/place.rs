//! Placing an order: everything that belongs to it in one transaction.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Prepared, Store, StoreError, prepare, read};
use crate::defences::Defence;
use crate::domain::{self, Order, PricedLine, ShownPrice, State};

/// An order that a customer wants to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The customer's own purchase reference.
    pub reference: String,
    /// Who orders.
    pub customer_id: String,
    /// What: product and units.
    pub lines: Vec<(String, i32)>,
    /// What the customer wants to say about it.
    pub note: Option<String>,
    /// The price that it must still have.
    pub shown: Option<ShownPrice>,
    /// The key under which the same request is recognised, with the hash of its content.
    pub key: Option<RequestKey>,
}

/// An idempotency key and what was asked under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// The key.
    pub key: String,
    /// Hash of the request.
    pub request_hash: String,
}

/// What became of a request to place an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placing {
    /// It was placed.
    Placed(Order),
    /// The key is known: this order was placed under it.
    Known(Order),
    /// The key is known, but something else was asked under it.
    KeyReused,
    /// The product of this line is not for sale.
    UnknownProduct(usize),
    /// The products have different currencies.
    MixedCurrencies,
    /// The sum cannot be counted.
    AmountTooLarge,
    /// The sum is another one than the customer was shown: what the order would have been.
    PriceChanged(Order),
    /// What is to be said about it would be larger than the queue takes.
    TooLarge,
}

impl Store {
    /// Places an order, or finds the one that was placed under the same key.
    ///
    /// # Errors
    /// [`StoreError`] says whether something may have been stored.
    pub async fn place(&self, new: &NewOrder) -> Result<Placing, StoreError> {
        self.with_retries(|| self.try_to_place(new)).await
    }

    async fn try_to_place(&self, new: &NewOrder) -> Result<Placing, StoreError> {
        let mut transaction = self.begin().await?;
        let order_id = Uuid::now_v7();
        if let Some(key) = &new.key
            && !claim(&mut transaction, key, order_id).await?
        {
            return find_claimed(&mut transaction, key).await;
        }
        let order = match price(&mut transaction, new, order_id).await? {
            Ok(order) => order,
            Err(refusal) => return Ok(refusal),
        };
        if new
            .shown
            .as_ref()
            .is_some_and(|shown| !shown.is_price_of(&order))
        {
            return Ok(Placing::PriceChanged(order));
        }
        let (entries, messages) = domain::placed(&order, OffsetDateTime::now_utc());
        let messages = prepare(&messages, order.note.as_deref())?;
        if !self.is_small_enough(&messages) {
            return Ok(Placing::TooLarge);
        }
        insert(&mut transaction, &order).await?;
        self.insert_messages(&mut transaction, &messages).await?;
        self.commit_audited(transaction, &entries).await?;
        self.publish(&messages);
        Ok(Placing::Placed(order))
    }

    /// Whether Kafka will take every message about an order; those that follow are no larger than the first ones.
    fn is_small_enough(&self, messages: &[Prepared]) -> bool {
        let largest = messages.iter().map(Prepared::size).max().unwrap_or(0);
        largest <= self.settings.message_limit || !self.defences.on(Defence::MessageSizeCheck)
    }
}

/// Takes a key; false when it is taken. Waits for whoever is taking it at the same time.
async fn claim(
    connection: &mut PgConnection,
    key: &RequestKey,
    order_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let claimed = sqlx::query(
        "insert into idempotency_keys (key, request_hash, order_id) values ($1, $2, $3) on conflict (key) do nothing",
    )
    .bind(&key.key)
    .bind(&key.request_hash)
    .bind(order_id)
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

async fn find_claimed(
    connection: &mut PgConnection,
    key: &RequestKey,
) -> Result<Placing, StoreError> {
    let (request_hash, order_id): (String, Uuid) =
        sqlx::query_as("select request_hash, order_id from idempotency_keys where key = $1")
            .bind(&key.key)
            .fetch_one(&mut *connection)
            .await?;
    if request_hash != key.request_hash {
        return Ok(Placing::KeyReused);
    }
    let order = read::order(connection, order_id).await?;
    order
        .map(Placing::Known)
        .ok_or_else(|| StoreError::Unreadable(format!("a key without its order {order_id}")))
}

/// Looks the prices up; the inner error is a refusal.
async fn price(
    connection: &mut PgConnection,
    new: &NewOrder,
    order_id: Uuid,
) -> Result<Result<Order, Placing>, sqlx::Error> {
    let wanted: Vec<&str> = new
        .lines
        .iter()
        .map(|(product_id, _)| product_id.as_str())
        .collect();
    let found: Vec<(String, i64, String)> = sqlx::query_as(
        "select product_id, price_minor, currency from products where product_id = any($1)",
    )
    .bind(wanted)
    .fetch_all(connection)
    .await?;
    let products: BTreeMap<_, _> = found
        .into_iter()
        .map(|(id, price, currency)| (id, (price, currency)))
        .collect();
    let mut lines = Vec::with_capacity(new.lines.len());
    let mut currency: Option<&str> = None;
    for (index, (product_id, quantity)) in new.lines.iter().enumerate() {
        let Some((price_minor, own)) = products.get(product_id) else {
            return Ok(Err(Placing::UnknownProduct(index)));
        };
        if *currency.get_or_insert(own) != own {
            return Ok(Err(Placing::MixedCurrencies));
        }
        lines.push(PricedLine {
            product_id: product_id.clone(),
            quantity: *quantity,
            price_minor: *price_minor,
        });
    }
    let Some(amount_minor) = domain::amount(&lines) else {
        return Ok(Err(Placing::AmountTooLarge));
    };
    Ok(Ok(Order {
        order_id,
        reference: new.reference.clone(),
        customer_id: new.customer_id.clone(),
        state: State::PaymentPending,
        version: 2,
        amount_minor,
        currency: currency.unwrap_or("EUR").to_owned(),
        lines,
        note: new.note.clone(),
    }))
}

async fn insert(connection: &mut PgConnection, order: &Order) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into orders (order_id, reference, customer_id, state, amount_minor, currency, version, note)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(order.order_id)
    .bind(&order.reference)
    .bind(&order.customer_id)
    .bind(order.state.name())
    .bind(order.amount_minor)
    .bind(&order.currency)
    .bind(order.version)
    .bind(&order.note)
    .execute(&mut *connection)
    .await?;
    for (line, number) in order.lines.iter().zip(1_i32..) {
        sqlx::query(
            "insert into order_lines (order_id, line, product_id, quantity, price_minor) values ($1, $2, $3, $4, $5)",
        )
        .bind(order.order_id)
        .bind(number)
        .bind(&line.product_id)
        .bind(line.quantity)
        .bind(line.price_minor)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
