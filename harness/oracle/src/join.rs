//! The facts of a history brought together: by order, by intent, by charge, by product, by message.

mod dashboards;
mod grouped;
mod queue;

pub(crate) use dashboards::{Dashboards, Figures};
pub(crate) use grouped::Grouped;
pub(crate) use queue::{Fate, Queue};

use crate::history::History;
use crate::lifecycle;
use crate::names::{Charges, Intents, Key, Orders, Products, Words};
use crate::record::{FactKind, Settlement};
use crate::row::{
    AuditRow, ChargeRow, LineRow, LookRow, MoveRow, OperationRow, OrderRow, OutcomeRow, Quantity,
    StockRow, ToldRow,
};

/// A history with its facts joined; what the invariants look at.
#[derive(Debug)]
pub struct Joined<'h> {
    pub(crate) history: &'h History,
    order_rows: Vec<Option<u32>>,
    charge_rows: Vec<Option<u32>>,
    refunded: Vec<i64>,
    lines: Grouped,
    audit: Grouped,
    charges: Grouped,
    moves: Grouped,
    told: Grouped,
    looks: Grouped,
    operations: Grouped,
    intent_orders: Grouped,
    intent_order_pairs: Vec<(Key<Intents>, Key<Orders>)>,
    product_moves: Grouped,
    stock_rows: Vec<Option<u32>>,
    fulfilled: Option<Key<Words>>,
    pub(crate) queue: Queue,
}

impl<'h> Joined<'h> {
    /// Joins the facts of a history.
    pub fn new(history: &'h History) -> Self {
        let (names, rows) = (&history.names, &history.rows);
        let orders = names.orders.len();
        let intent_order_pairs = intent_order_pairs(history);
        let mut refunded = vec![0_i64; names.charges.len()];
        for refund in &rows.refunds {
            let sum = &mut refunded[refund.charge.index()];
            *sum = sum.saturating_add(refund.amount_minor);
        }
        Self {
            order_rows: positions(orders, rows.orders.iter().map(|row| row.order.index())),
            charge_rows: positions(
                names.charges.len(),
                rows.charges.iter().map(|row| row.charge.index()),
            ),
            refunded,
            lines: Grouped::new(orders, rows.lines.iter().map(|row| row.order.index())),
            audit: Grouped::new(orders, rows.audit.iter().map(|row| row.order.index())),
            charges: Grouped::new(orders, rows.charges.iter().map(|row| row.order.index())),
            moves: Grouped::new(orders, rows.moves.iter().map(|row| row.order.index())),
            told: Grouped::new(orders, rows.told.iter().map(|row| row.order.index())),
            looks: Grouped::new(orders, rows.looks.iter().map(|row| row.order.index())),
            operations: Grouped::new(
                names.intents.len(),
                rows.operations.iter().map(|row| row.intent.index()),
            ),
            intent_orders: Grouped::new(
                names.intents.len(),
                intent_order_pairs.iter().map(|(intent, _)| intent.index()),
            ),
            intent_order_pairs,
            product_moves: Grouped::new(
                names.products.len(),
                rows.moves.iter().map(|row| row.quantity.product.index()),
            ),
            stock_rows: positions(
                names.products.len(),
                rows.stock.iter().map(|row| row.product.index()),
            ),
            fulfilled: names.words.find(lifecycle::FULFILLED),
            queue: Queue::new(history),
            history,
        }
    }

    /// Why nothing can be concluded about these kinds of facts; none when all were read.
    pub(crate) fn missing(&self, kinds: &[FactKind]) -> Option<String> {
        let reasons: Vec<_> = kinds
            .iter()
            .filter_map(|kind| self.history.not_observed(*kind))
            .collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Whether the pipeline had come to rest, for good or ill, when it was observed: then what is missing stays missing.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(
            self.history.settled,
            Some((Settlement::Settled | Settlement::Stuck, _))
        )
    }

    /// Every order that any record names.
    pub(crate) fn orders(&self) -> impl Iterator<Item = Key<Orders>> + use<> {
        self.history.names.orders.keys()
    }

    /// Every intent that any record names.
    pub(crate) fn intents(&self) -> impl Iterator<Item = Key<Intents>> + use<> {
        self.history.names.intents.keys()
    }

    /// Every product that any record names.
    pub(crate) fn products(&self) -> impl Iterator<Item = Key<Products>> + use<> {
        self.history.names.products.keys()
    }

    /// The order as the order service knows it.
    pub(crate) fn order(&self, order: Key<Orders>) -> Option<&'h OrderRow> {
        row_at(&self.history.rows.orders, &self.order_rows, order.index())
    }

    /// The charge as the provider booked it.
    pub(crate) fn charge(&self, charge: Key<Charges>) -> Option<&'h ChargeRow> {
        row_at(
            &self.history.rows.charges,
            &self.charge_rows,
            charge.index(),
        )
    }

    /// The stock of a product.
    pub(crate) fn stock(&self, product: Key<Products>) -> Option<&'h StockRow> {
        row_at(&self.history.rows.stock, &self.stock_rows, product.index())
    }

    pub(crate) fn is_fulfilled(&self, row: &OrderRow) -> bool {
        Some(row.state) == self.fulfilled
    }

    /// How much of a charge was given back.
    pub(crate) fn refunded(&self, charge: Key<Charges>) -> i64 {
        self.refunded[charge.index()]
    }

    pub(crate) fn charges_of(
        &self,
        order: Key<Orders>,
    ) -> impl ExactSizeIterator<Item = &'h ChargeRow> {
        self.charges.pick(&self.history.rows.charges, order.index())
    }

    pub(crate) fn lines_of(
        &self,
        order: Key<Orders>,
    ) -> impl ExactSizeIterator<Item = &'h LineRow> {
        self.lines.pick(&self.history.rows.lines, order.index())
    }

    pub(crate) fn audit_of(
        &self,
        order: Key<Orders>,
    ) -> impl ExactSizeIterator<Item = &'h AuditRow> {
        self.audit.pick(&self.history.rows.audit, order.index())
    }

    pub(crate) fn moves_of(
        &self,
        order: Key<Orders>,
    ) -> impl ExactSizeIterator<Item = &'h MoveRow> {
        self.moves.pick(&self.history.rows.moves, order.index())
    }

    /// What the order's customer was told.
    pub(crate) fn told_of(&self, order: Key<Orders>) -> impl ExactSizeIterator<Item = &'h ToldRow> {
        self.told.pick(&self.history.rows.told, order.index())
    }

    /// How the order was shown to customers.
    pub(crate) fn looks_of(
        &self,
        order: Key<Orders>,
    ) -> impl ExactSizeIterator<Item = &'h LookRow> {
        self.looks.pick(&self.history.rows.looks, order.index())
    }

    /// When the order's first charge was booked, in microseconds since 1970; none when there is no charge, or one of which
    /// that is not known.
    pub(crate) fn first_charged_us(&self, order: Key<Orders>) -> Option<i64> {
        let first = self
            .charges_of(order)
            .try_fold(None, |first: Option<i64>, row| {
                let at_us = row.at_us?;
                Some(Some(first.map_or(at_us, |first| first.min(at_us))))
            });
        first.flatten()
    }

    pub(crate) fn moves_of_product(
        &self,
        product: Key<Products>,
    ) -> impl ExactSizeIterator<Item = &'h MoveRow> {
        self.product_moves
            .pick(&self.history.rows.moves, product.index())
    }

    /// The attempts of one intent.
    pub(crate) fn operations_of(
        &self,
        intent: Key<Intents>,
    ) -> impl ExactSizeIterator<Item = &'h OperationRow> {
        self.operations
            .pick(&self.history.rows.operations, intent.index())
    }

    /// The orders that are known to come from one intent: the order service or an answer says so. Each once.
    pub(crate) fn orders_of(
        &self,
        intent: Key<Intents>,
    ) -> impl ExactSizeIterator<Item = Key<Orders>> + '_ {
        self.intent_orders
            .pick(&self.intent_order_pairs, intent.index())
            .map(|(_, order)| *order)
    }

    /// What a customer ordered in one attempt.
    pub(crate) fn wanted(&self, operation: &OperationRow) -> &'h [Quantity] {
        let (start, count) = (operation.lines.0 as usize, operation.lines.1 as usize);
        self.history
            .rows
            .operation_lines
            .get(start..start + count)
            .unwrap_or(&[])
    }

    /// The order's id.
    pub(crate) fn order_id(&self, order: Key<Orders>) -> &'h str {
        self.history.names.orders.text(order)
    }

    /// The customer's purchase reference.
    pub(crate) fn reference(&self, intent: Key<Intents>) -> &'h str {
        self.history.names.intents.text(intent)
    }

    /// The product's id.
    pub(crate) fn product_id(&self, product: Key<Products>) -> &'h str {
        self.history.names.products.text(product)
    }

    pub(crate) fn word(&self, word: Key<Words>) -> &'h str {
        self.history.names.words.text(word)
    }

    /// An amount for a reader: `12.00 EUR`.
    pub(crate) fn money(&self, amount_minor: i64) -> String {
        let sign = if amount_minor < 0 { "-" } else { "" };
        let minor = amount_minor.unsigned_abs();
        let currency = self
            .history
            .names
            .currency
            .map(|currency| self.word(currency));
        let gap = if currency.is_some() { " " } else { "" };
        format!(
            "{sign}{}.{:02}{gap}{}",
            minor / 100,
            minor % 100,
            currency.unwrap_or("")
        )
    }
}

/// Which orders come from which intent, each pair once, sorted.
fn intent_order_pairs(history: &History) -> Vec<(Key<Intents>, Key<Orders>)> {
    let rows = &history.rows;
    let mut known = vec![None; history.names.orders.len()];
    let mut pairs = Vec::with_capacity(rows.orders.len());
    for row in &rows.orders {
        known[row.order.index()] = Some(row.intent);
        pairs.push((row.intent, row.order));
    }
    for operation in &rows.operations {
        if let OutcomeRow::Done(order) = operation.outcome
            && known[order.index()] != Some(operation.intent)
        {
            pairs.push((operation.intent, order));
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// For each group the position of its last row.
fn positions(groups: usize, rows: impl Iterator<Item = usize>) -> Vec<Option<u32>> {
    let mut positions = vec![None; groups];
    for (position, group) in rows.enumerate() {
        positions[group] = u32::try_from(position).ok();
    }
    positions
}

fn row_at<'h, R>(rows: &'h [R], positions: &[Option<u32>], group: usize) -> Option<&'h R> {
    positions
        .get(group)
        .copied()
        .flatten()
        .and_then(|position| rows.get(position as usize))
}
