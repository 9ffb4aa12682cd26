//! Turning operations and facts into rows.

use super::{AllNames, History, Rows};
use crate::record::{Fact, Look, Operation, Outcome};
use crate::row::{
    AuditRow, ChargeRow, ClaimRow, DashboardRow, LineRow, LookRow, MessageRow, MoveRow,
    OperationRow, OrderRow, OutcomeRow, ParkedRow, ProcessedRow, ProgressRow, RefundRow,
    RequestsRow, ShownRow, StockRow, ToldRow, Window,
};

impl History {
    pub(super) fn push_operation(&mut self, operation: &Operation) {
        let start = self.rows.operation_lines.len();
        for line in &operation.lines {
            self.rows
                .operation_lines
                .push(self.names.quantity(&line.product_id, line.quantity));
        }
        let index = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let names = &mut self.names;
        self.rows.operations.push(OperationRow {
            intent: names.intents.key(&operation.reference),
            attempt: operation.attempt,
            customer: names.words.key(&operation.customer),
            idempotency_key: operation
                .idempotency_key
                .as_ref()
                .map(|key| names.words.key(key)),
            forged: operation.forged.as_ref().map(|flaw| names.words.key(flaw)),
            started_us: operation.started_us,
            ended_us: operation.ended_us,
            lines: (index(start), index(operation.lines.len())),
            amount_minor: operation.amount_minor,
            outcome: match &operation.outcome {
                Outcome::Done { order_id } => OutcomeRow::Done(names.orders.key(order_id)),
                Outcome::Refused { reason } => OutcomeRow::Refused(names.words.key(reason)),
                Outcome::Unknown { reason } => OutcomeRow::Unknown(names.words.key(reason)),
            },
        });
    }

    pub(super) fn push_look(&mut self, look: &Look) {
        let names = &mut self.names;
        self.rows.looks.push(LookRow {
            order: names.orders.key(&look.order_id),
            customer: names.words.key(&look.customer),
            asked_us: look.asked_us,
            answered_us: look.answered_us,
            state: names.words.key(&look.state),
            version: look.version,
        });
    }

    pub(super) fn push_fact(&mut self, fact: &Fact) {
        let (names, rows) = (&mut self.names, &mut self.rows);
        match fact {
            Fact::Order {
                order_id,
                reference,
                state,
                is_final,
                amount_minor,
                version,
                currency,
            } => rows.orders.push(OrderRow {
                order: names.orders.key(order_id),
                intent: names.intents.key(reference),
                state: names.words.key(state),
                is_final: *is_final,
                amount_minor: *amount_minor,
                version: *version,
                currency: currency.as_ref().map(|currency| names.words.key(currency)),
            }),
            Fact::OrderLine {
                order_id,
                product_id,
                quantity,
            } => rows.lines.push(LineRow {
                order: names.orders.key(order_id),
                quantity: names.quantity(product_id, *quantity),
            }),
            Fact::AuditEntry {
                order_id,
                version,
                from_state,
                to_state,
                at_ms,
            } => rows.audit.push(AuditRow {
                order: names.orders.key(order_id),
                version: *version,
                from: from_state.as_ref().map(|state| names.words.key(state)),
                to: names.words.key(to_state),
                at_ms: *at_ms,
            }),
            Fact::Charge {
                charge_id,
                order_id,
                amount_minor,
                idempotency_key,
                currency,
                at_us,
            } => {
                names.note_currency(currency.as_deref());
                rows.charges.push(ChargeRow {
                    charge: names.charges.key(charge_id),
                    order: names.orders.key(order_id),
                    amount_minor: *amount_minor,
                    idempotency_key: idempotency_key.as_ref().map(|key| names.words.key(key)),
                    at_us: *at_us,
                });
            }
            Fact::Refund {
                refund_id,
                charge_id,
                order_id,
                amount_minor,
            } => rows.refunds.push(RefundRow {
                refund: names.words.key(refund_id),
                charge: names.charges.key(charge_id),
                order: names.orders.key(order_id),
                amount_minor: *amount_minor,
            }),
            Fact::ProviderRequests {
                order_id,
                kind,
                attempts,
            } => rows.requests.push(RequestsRow {
                order: names.orders.key(order_id),
                kind: names.words.key(kind),
                attempts: *attempts,
            }),
            Fact::Stock {
                product_id,
                initial,
                on_hand,
            } => rows.stock.push(StockRow {
                product: names.products.key(product_id),
                initial: *initial,
                on_hand: *on_hand,
            }),
            Fact::ShownStock {
                product_id,
                on_hand,
            } => rows.shown.push(ShownRow {
                product: names.products.key(product_id),
                on_hand: *on_hand,
            }),
            Fact::StockMove {
                sequence,
                order_id,
                product_id,
                quantity,
                on_hand_after,
            } => rows.moves.push(MoveRow {
                sequence: *sequence,
                order: names.orders.key(order_id),
                quantity: names.quantity(product_id, *quantity),
                on_hand_after: *on_hand_after,
            }),
            Fact::Told {
                message_id,
                order_id,
                kind,
                channel,
                recipient,
                at_us,
            } => rows.told.push(ToldRow {
                message: names.words.key(message_id),
                order: names.orders.key(order_id),
                kind: names.words.key(kind),
                channel: names.words.key(channel),
                recipient: names.words.key(recipient),
                at_us: *at_us,
            }),
            Fact::Message { .. }
            | Fact::Progress { .. }
            | Fact::Processed { .. }
            | Fact::Parked { .. } => {
                rows.push_queue_fact(names, fact);
            }
            Fact::DashboardRow { .. } | Fact::DashboardClaim { .. } => {
                rows.push_dashboard_fact(names, fact);
            }
        }
    }
}

impl Rows {
    fn push_queue_fact(&mut self, names: &mut AllNames, fact: &Fact) {
        match fact {
            Fact::Message {
                topic,
                partition,
                offset,
                message_id,
                order_id,
                kind,
            } => self.messages.push(MessageRow {
                place: names.place(topic, *partition, *offset),
                message: message_id.as_ref().map(|id| names.messages.key(id)),
                order: order_id.as_ref().map(|id| names.orders.key(id)),
                kind: kind.as_ref().map(|kind| names.words.key(kind)),
            }),
            Fact::Progress {
                group,
                topic,
                partition,
                committed,
                end,
            } => self.progress.push(ProgressRow {
                group: names.groups.key(group),
                topic: names.topics.key(topic),
                partition: *partition,
                committed: *committed,
                end: *end,
            }),
            Fact::Processed {
                group, message_id, ..
            } => self.processed.push(ProcessedRow {
                group: names.groups.key(group),
                message: names.messages.key(message_id),
            }),
            Fact::Parked {
                group,
                topic,
                partition,
                offset,
                reason,
            } => self.parked.push(ParkedRow {
                group: names.groups.key(group),
                place: names.place(topic, *partition, *offset),
                reason: names.words.key(reason),
            }),
            _ => {}
        }
    }

    fn push_dashboard_fact(&mut self, names: &mut AllNames, fact: &Fact) {
        match fact {
            Fact::DashboardRow {
                window_start_s,
                window_s,
                currency,
                placed,
                paid,
                refunded,
                revenue_minor,
            } => self.dashboard.push(DashboardRow {
                window: Window {
                    start_s: *window_start_s,
                    length_s: *window_s,
                },
                currency: names.words.key(currency),
                placed: *placed,
                paid: *paid,
                refunded: *refunded,
                revenue_minor: *revenue_minor,
            }),
            Fact::DashboardClaim {
                build,
                group,
                topic,
                partition,
                complete,
                counted,
                behind,
                end_offset,
            } => self.claims.push(ClaimRow {
                build: *build,
                group: names.groups.key(group),
                topic: names.topics.key(topic),
                partition: *partition,
                complete: *complete,
                counted: *counted,
                behind: *behind,
                end_offset: *end_offset,
            }),
            _ => {}
        }
    }
}
