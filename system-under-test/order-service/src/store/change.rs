//! Moving an order on: its state, its audit row and what is said about it, together.

use service_kit::database::Transaction;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Store, StoreError, prepare};
use crate::defences::Defence;
use crate::domain::{self, AuditEntry, Order, State, Step};

/// What somebody wants of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// What it means for the order as it was read.
    pub(super) step: Step,
    /// The state that it leads to for whoever does not look.
    pub(super) said: State,
    /// What the audit trail names as the cause.
    pub(super) cause: &'static str,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    /// The order moved on.
    Moved(State),
    /// The order knew it already.
    Known,
    /// It does not fit the order's life.
    Illegal,
}

impl Store {
    /// Moves an order on from what was read of it, and commits.
    pub(super) async fn change(
        &self,
        mut transaction: Transaction,
        order: Order,
        change: Change,
    ) -> Result<Changed, StoreError> {
        let changed = self.write_state(&mut transaction, &order, change).await?;
        let Changed::Moved(state) = changed else {
            self.commit(transaction).await?;
            return Ok(changed);
        };
        let from = order.state;
        let moved = Order {
            state,
            version: order.version + 1,
            ..order
        };
        let at = OffsetDateTime::now_utc();
        let entry = AuditEntry {
            order_id: moved.order_id,
            version: moved.version,
            from: Some(from),
            to: state,
            cause: change.cause,
            at,
        };
        let messages = domain::moved_on(&moved, at);
        let messages = prepare(&messages, moved.note.as_deref())?;
        self.insert_messages(&mut transaction, &messages).await?;
        self.commit_audited(transaction, &[entry]).await?;
        self.publish(&messages);
        self.copies.changed(moved);
        Ok(changed)
    }

    /// Writes the state that a change leads to. Checked: only along a legal transition, and only over the version that was
    /// read. Unchecked: whatever is said, over whatever is there.
    async fn write_state(
        &self,
        connection: &mut PgConnection,
        order: &Order,
        change: Change,
    ) -> Result<Changed, StoreError> {
        if !self.defences.on(Defence::VersionCheck) {
            let sql = "update orders set state = $1, version = $2, updated_at = now() where order_id = $3";
            let next = order.version + 1;
            sqlx::query(sql)
                .bind(change.said.name())
                .bind(next)
                .bind(order.order_id)
                .execute(connection)
                .await?;
            return Ok(Changed::Moved(change.said));
        }
        let state = match change.step {
            Step::To(state) => state,
            Step::Known => return Ok(Changed::Known),
            Step::Illegal => return Ok(Changed::Illegal),
        };
        let written = sqlx::query(
            "update orders set state = $1, version = version + 1, updated_at = now() where order_id = $2 and version = $3",
        )
        .bind(state.name())
        .bind(order.order_id)
        .bind(order.version)
        .execute(connection)
        .await?;
        if written.rows_affected() == 1 {
            Ok(Changed::Moved(state))
        } else {
            Err(StoreError::Overtaken)
        }
    }
}
