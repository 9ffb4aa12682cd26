//! Giving an order up.

use uuid::Uuid;

use super::change::{Change, Changed};
use super::{Store, StoreError, read};
use crate::domain::{Order, State, step_at_cancelling};

/// What became of the wish to give an order up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelling {
    /// It is given up, now or since earlier: how it stands.
    GivenUp(Order),
    /// It was paid, declined or delivered before.
    TooLate(Order),
    /// There is no such order.
    NoOrder,
}

impl Store {
    /// Gives an order up, unless it is too late.
    ///
    /// # Errors
    /// [`StoreError`] says whether something may have been stored. Giving it up again is safe.
    pub async fn cancel(&self, order_id: Uuid) -> Result<Cancelling, StoreError> {
        self.with_retries(|| self.try_to_cancel(order_id)).await
    }

    async fn try_to_cancel(&self, order_id: Uuid) -> Result<Cancelling, StoreError> {
        let mut transaction = self.begin().await?;
        let Some(order) = read::order(&mut transaction, order_id).await? else {
            return Ok(Cancelling::NoOrder);
        };
        let change = Change {
            step: step_at_cancelling(order.state),
            said: State::Cancelling,
            cause: "customer",
        };
        let changed = self.change(transaction, order.clone(), change).await?;
        Ok(match changed {
            Changed::Moved(state) => Cancelling::GivenUp(Order {
                state,
                version: order.version + 1,
                ..order
            }),
            Changed::Known => Cancelling::GivenUp(order),
            Changed::Illegal => Cancelling::TooLate(order),
        })
    }
}
