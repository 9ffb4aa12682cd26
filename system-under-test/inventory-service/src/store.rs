//! All SQL of the inventory service.

use std::sync::Arc;
use std::time::Instant;

use contracts::{Envelope, InventoryEventKind, Kind, MessageError, OrderEventBody};
use service_kit::database::{DatabaseSettings, Pool, SqlState, TransactionRetry, with_retries};
use service_kit::defences::Defences;
use service_kit::fail_point::{self, Injected};
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cache::{Snapshot, StockCache};
use crate::defences::Defence;
use crate::domain::{BadLines, LockOrder, Outcome, Want, wants};

/// The service's database.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    settings: DatabaseSettings,
    defences: Defences<Defence>,
    cache: StockCache,
}

/// Why a message was not processed, or stock not read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is out of reach.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The transaction lost a deadlock or a conflict, and is not run again.
    #[error("the transaction lost a conflict and is given up: {0}")]
    GivenUp(sqlx::Error),
    /// The event's lines make no sense.
    #[error(transparent)]
    Lines(#[from] BadLines),
    /// A message cannot be written.
    #[error("a message cannot be written: {0}")]
    Message(#[from] MessageError),
    /// A fail-point failed the step.
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl SqlState for StoreError {
    fn sql_state(&self) -> Option<String> {
        match self {
            Self::Database(error) | Self::GivenUp(error) => error.sql_state(),
            _ => None,
        }
    }
}

/// Stock of a product.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Stock {
    /// The product.
    pub product_id: String,
    /// Units now.
    pub on_hand: i32,
}

/// The answer to an order event: the message for `inventory-events`, none when stock has nothing to do with it.
pub type Answer = Option<serde_json::Value>;

impl Store {
    /// A store over a pool; what is shown of the stock is kept in `cache`.
    pub fn new(
        pool: Pool,
        settings: DatabaseSettings,
        defences: Defences<Defence>,
        cache: StockCache,
    ) -> Self {
        Self {
            pool,
            settings,
            defences,
            cache,
        }
    }

    /// Takes stock for a paid order and records the event with its answer, in one transaction. An event that was recorded
    /// before gets the answer of then.
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn process(&self, event: &Envelope<OrderEventBody>) -> Result<Answer, StoreError> {
        let patient = self.defences.on(Defence::DeadlockRetry);
        let retry = if patient {
            self.settings.retry
        } else {
            TransactionRetry::NONE
        };
        let outcome =
            with_retries(retry, || self.settings.bounded(self.try_to_process(event))).await;
        match outcome {
            Err(StoreError::Database(error)) if !patient && lost_a_conflict(&error) => {
                Err(StoreError::GivenUp(error))
            }
            other => other,
        }
    }

    async fn try_to_process(&self, event: &Envelope<OrderEventBody>) -> Result<Answer, StoreError> {
        let believed = if self.defences.on(Defence::CheckAtSource) {
            None
        } else {
            Some(self.shown_stock().await?)
        };
        let mut transaction = self.pool.begin().await?;
        let first_time = record(&mut transaction, event).await?;
        if !first_time && self.defences.on(Defence::Dedup) {
            let answer = recorded_answer(&mut transaction, event.message_id).await?;
            transaction.rollback().await?;
            return Ok(answer);
        }
        let lock_order = if self.defences.on(Defence::LockOrder) {
            LockOrder::ByProduct
        } else {
            LockOrder::AsOrdered
        };
        let Some(wants) = wants(&event.body, lock_order)? else {
            transaction.commit().await?;
            return Ok(None);
        };
        let outcome = self
            .take_all(
                &mut transaction,
                event.order_id,
                &wants,
                believed.as_deref(),
            )
            .await?;
        let kind = match outcome {
            Outcome::Taken => InventoryEventKind::Taken,
            Outcome::OutOfStock { product_id } => InventoryEventKind::OutOfStock { product_id },
        };
        let answer = contracts::write(&Envelope::once_per_order(
            event.order_id,
            OffsetDateTime::now_utc(),
            kind,
        ))?;
        record_answer(&mut transaction, event.message_id, &answer).await?;
        transaction.commit().await?;
        Ok(Some(answer))
    }

    /// Takes everything or nothing. Whether there is enough is `believed` where that is given.
    async fn take_all(
        &self,
        connection: &mut PgConnection,
        order_id: Uuid,
        wants: &[Want],
        believed: Option<&Snapshot>,
    ) -> Result<Outcome, StoreError> {
        let mut all = connection.begin().await?;
        for want in wants {
            let Some(on_hand_after) = self.take(&mut all, want, believed).await? else {
                all.rollback().await?;
                return Ok(Outcome::OutOfStock {
                    product_id: want.product_id.clone(),
                });
            };
            sqlx::query("insert into stock_moves (order_id, product_id, quantity, on_hand_after) values ($1, $2, $3, $4)")
                .bind(order_id)
                .bind(&want.product_id)
                .bind(want.quantity)
                .bind(on_hand_after)
                .execute(&mut *all)
                .await?;
        }
        all.commit().await?;
        Ok(Outcome::Taken)
    }

    /// Takes units of one product; returns what is left, none when there was too little.
    async fn take(
        &self,
        connection: &mut PgConnection,
        want: &Want,
        believed: Option<&Snapshot>,
    ) -> Result<Option<i32>, StoreError> {
        let believed = believed.map(|shown| shown.on_hand(&want.product_id).unwrap_or(0));
        if believed.is_some_and(|on_hand| on_hand < want.quantity) {
            return Ok(None);
        }
        if self.defences.on(Defence::AtomicDecrement) {
            fail_point::pass("inventory.before-decrement").await?;
            let at_least = if believed.is_none() {
                want.quantity
            } else {
                i32::MIN
            };
            Ok(lower_atomically(connection, want, at_least).await?)
        } else {
            let on_hand = match believed {
                Some(on_hand) => Some(on_hand),
                None => read_on_hand(connection, &want.product_id).await?,
            };
            let Some(rest) = on_hand
                .map(|on_hand| on_hand - want.quantity)
                .filter(|rest| *rest >= 0)
            else {
                return Ok(None);
            };
            fail_point::pass("inventory.before-decrement").await?;
            write_on_hand(connection, &want.product_id, rest).await?;
            Ok(Some(rest))
        }
    }

    /// The stock of all products for whoever only looks: as it was read not long ago, or read now.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn shown_stock(&self) -> Result<Arc<Snapshot>, StoreError> {
        if let Some(kept) = self.cache.get(Instant::now()) {
            return Ok(kept);
        }
        let (ticket, read_at, as_of) = (
            self.cache.ticket(),
            Instant::now(),
            OffsetDateTime::now_utc(),
        );
        let stock = self.stock().await?;
        let snapshot = Arc::new(Snapshot { stock, as_of });
        self.cache.keep(ticket, snapshot.clone(), read_at);
        Ok(snapshot)
    }

    /// The stock of all products as it is, in the order of their ids' bytes.
    async fn stock(&self) -> Result<Vec<Stock>, StoreError> {
        let read = async {
            let sql = "select product_id, on_hand from stock order by product_id collate \"C\"";
            Ok(sqlx::query_as(sql).fetch_all(&self.pool).await?)
        };
        self.settings.bounded(read).await
    }
}

fn lost_a_conflict(error: &sqlx::Error) -> bool {
    matches!(error.sql_state().as_deref(), Some("40P01" | "40001"))
}

/// Lowers the stock where there are `at_least` so many units; returns what is left, none when there are fewer.
async fn lower_atomically(
    connection: &mut PgConnection,
    want: &Want,
    at_least: i32,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar(
        "update stock set on_hand = on_hand - $2 where product_id = $1 and on_hand >= $3 returning on_hand",
    )
    .bind(&want.product_id)
    .bind(want.quantity)
    .bind(at_least)
    .fetch_optional(connection)
    .await
}

async fn read_on_hand(
    connection: &mut PgConnection,
    product_id: &str,
) -> Result<Option<i32>, sqlx::Error> {
    let sql = "select on_hand from stock where product_id = $1";
    sqlx::query_scalar(sql)
        .bind(product_id)
        .fetch_optional(connection)
        .await
}

async fn write_on_hand(
    connection: &mut PgConnection,
    product_id: &str,
    on_hand: i32,
) -> Result<(), sqlx::Error> {
    let sql = "update stock set on_hand = $2 where product_id = $1";
    sqlx::query(sql)
        .bind(product_id)
        .bind(on_hand)
        .execute(connection)
        .await
        .map(drop)
}

/// Records the event as processed; false when it was recorded before. Waits for whoever records it at the same time.
async fn record(
    connection: &mut PgConnection,
    event: &Envelope<OrderEventBody>,
) -> Result<bool, sqlx::Error> {
    let recorded = sqlx::query(
        "insert into inbox (message_id, topic, order_id) values ($1, $2, $3) on conflict (message_id) do nothing",
    )
    .bind(event.message_id)
    .bind(OrderEventBody::TOPIC)
    .bind(event.order_id)
    .execute(connection)
    .await?;
    Ok(recorded.rows_affected() == 1)
}

async fn record_answer(
    connection: &mut PgConnection,
    message_id: Uuid,
    answer: &serde_json::Value,
) -> Result<(), sqlx::Error> {
    let sql = "update inbox set outcome = $2 where message_id = $1";
    sqlx::query(sql)
        .bind(message_id)
        .bind(answer)
        .execute(connection)
        .await
        .map(drop)
}

async fn recorded_answer(
    connection: &mut PgConnection,
    message_id: Uuid,
) -> Result<Answer, sqlx::Error> {
    let sql = "select outcome from inbox where message_id = $1";
    let outcome: Option<Option<serde_json::Value>> = sqlx::query_scalar(sql)
        .bind(message_id)
        .fetch_optional(connection)
        .await?;
    Ok(outcome.flatten())
}
