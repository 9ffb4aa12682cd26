//! The life of one order as lines of text, across all services.
//!
//! Customers' attempts and looks, and faults, have times; what was read at the end has none, so it is told in the order in which the
//! pipeline causes it.

mod dashboards;
mod looks;

use crate::history::History;
use crate::join::{Fate, Joined};
use crate::lifecycle;
use crate::names::{Intents, Key, Orders, Products};
use crate::row::{MessageRow, OperationRow, OutcomeRow, Place, ToldRow};
use crate::verdict::{Subject, counted};

/// How many lines a story has at most; the rest is counted.
pub const STORY_LINES: usize = 80;

/// How many orders of one purchase are told.
const ORDERS_TOLD: usize = 4;

/// The life of an order: its purchase's attempts, the faults around them, and everything every service knows of it.
/// None when the history never names it.
pub fn of_order(history: &History, order_id: &str) -> Option<Vec<String>> {
    let order = history.names.orders.find(order_id)?;
    Some(of_subject(&Joined::new(history), Subject::Order(order)))
}

pub(crate) fn of_subject(joined: &Joined<'_>, subject: Subject) -> Vec<String> {
    let mut lines = Vec::new();
    match subject {
        Subject::Order(order) => {
            attempts(joined, &intents_of(joined, order), &[order], &mut lines);
            life(joined, order, &mut lines);
        }
        Subject::Intent(intent) => {
            let orders: Vec<_> = joined.orders_of(intent).take(ORDERS_TOLD).collect();
            attempts(joined, &[intent], &orders, &mut lines);
            for order in orders {
                lines.push(format!("order {}", joined.order_id(order)));
                life(joined, order, &mut lines);
            }
        }
        Subject::Product(product) => product_life(joined, product, &mut lines),
        Subject::Window(window) => dashboards::of_window(joined, window, &mut lines),
        Subject::Partition(topic, partition) => {
            dashboards::of_partition(joined, topic, partition, &mut lines);
        }
        Subject::Message(place, order) => {
            if let Some(row) = joined
                .history
                .rows
                .messages
                .iter()
                .find(|row| row.place == place)
            {
                lines.push(with_fates(joined, row));
            }
            lines.extend(dead_letters_of(joined, place));
            if let Some(order) = order {
                attempts(joined, &intents_of(joined, order), &[order], &mut lines);
                life(joined, order, &mut lines);
            }
        }
    }
    if lines.len() > STORY_LINES {
        let more = lines.len() - STORY_LINES;
        lines.truncate(STORY_LINES);
        lines.push(format!("... and {}", counted(more as u64, "more line")));
    }
    lines
}

/// What was parked as the message of a place.
fn dead_letters_of(joined: &Joined<'_>, meant: Place) -> Vec<String> {
    let parked = &joined.history.rows.parked;
    parked
        .iter()
        .filter(|row| row.place == meant)
        .map(|row| {
            format!(
                "{} parked {}: {:?}",
                joined.history.names.groups.text(row.group),
                place(joined, meant),
                joined.word(row.reason)
            )
        })
        .collect()
}

/// A place in a queue: `payment-commands/3 @17`.
pub(crate) fn place(joined: &Joined<'_>, place: Place) -> String {
    format!(
        "{}/{} @{}",
        joined.history.names.topics.text(place.topic),
        place.partition,
        place.offset
    )
}

/// A message: `payment-commands/3 @17 (charge, order 0192...)`.
pub(crate) fn message(joined: &Joined<'_>, row: &MessageRow) -> String {
    let kind = row.kind.map_or("unreadable", |kind| joined.word(kind));
    let order = row.order.map_or_else(String::new, |order| {
        format!(", order {}", joined.order_id(order))
    });
    format!("{} ({kind}{order})", place(joined, row.place))
}

/// The purchases an order is known to come from.
fn intents_of(joined: &Joined<'_>, order: Key<Orders>) -> Vec<Key<Intents>> {
    let mut intents: Vec<_> = joined
        .order(order)
        .map(|row| row.intent)
        .into_iter()
        .collect();
    for operation in &joined.history.rows.operations {
        if operation.outcome == OutcomeRow::Done(order) && !intents.contains(&operation.intent) {
            intents.push(operation.intent);
        }
    }
    intents
}

/// Attempts of customers, what they were shown of their orders, and the faults that were in force around them, by time.
fn attempts(
    joined: &Joined<'_>,
    intents: &[Key<Intents>],
    orders: &[Key<Orders>],
    lines: &mut Vec<String>,
) {
    let mut told = Vec::new();
    for operation in intents
        .iter()
        .flat_map(|intent| joined.operations_of(*intent))
    {
        told.push((operation.started_us, asked(joined, operation)));
        told.push((operation.ended_us, answered(joined, operation)));
    }
    for order in orders {
        told.extend(looks::of_order(joined, *order));
    }
    for fault in &joined.history.faults {
        told.push((
            fault.started_us,
            format!(
                "fault \"{}\" comes into force on {}",
                fault.fault, fault.target
            ),
        ));
        if let Some(healed_us) = fault.healed_us {
            told.push((healed_us, format!("fault \"{}\" is healed", fault.fault)));
        }
    }
    told.sort_by_key(|(at_us, _)| *at_us);
    lines.extend(
        told.into_iter()
            .map(|(at_us, line)| format!("{:>9} s  {line}", seconds(at_us))),
    );
}

/// A time since the drill began: `1.234`.
fn seconds(at_us: u64) -> String {
    format!("{}.{:03}", at_us / 1_000_000, at_us / 1_000 % 1_000)
}

fn asked(joined: &Joined<'_>, operation: &OperationRow) -> String {
    let wanted: Vec<_> = joined
        .wanted(operation)
        .iter()
        .map(|line| format!("{} x {}", line.units, joined.product_id(line.product)))
        .collect();
    let key = operation.idempotency_key.map_or_else(
        || "no key".to_owned(),
        |key| format!("key {}", joined.word(key)),
    );
    let token = operation.forged.map_or_else(String::new, |flaw| {
        format!(", forged token: {}", joined.word(flaw))
    });
    format!(
        "customer {} orders {} for {} (reference {}, attempt {}, {key}{token})",
        joined.word(operation.customer),
        wanted.join(", "),
        joined.money(operation.amount_minor),
        joined.reference(operation.intent),
        operation.attempt
    )
}

fn answered(joined: &Joined<'_>, operation: &OperationRow) -> String {
    let outcome = match operation.outcome {
        OutcomeRow::Done(order) => format!("accepted as order {}", joined.order_id(order)),
        OutcomeRow::Refused(reason) => format!("refused, {}", joined.word(reason)),
        OutcomeRow::Unknown(reason) => {
            format!("no answer ({}): it may have happened", joined.word(reason))
        }
    };
    format!(
        "attempt {} of {}: {outcome}",
        operation.attempt,
        joined.reference(operation.intent)
    )
}

/// Everything the services know of one order, in causal order.
fn life(joined: &Joined<'_>, order: Key<Orders>, lines: &mut Vec<String>) {
    let mut told: Vec<(u8, String)> = Vec::new();
    let rows = &joined.history.rows;
    for row in joined.audit_of(order) {
        let to = joined.word(row.to);
        let from = row
            .from
            .map_or_else(String::new, |from| format!("{} -> ", joined.word(from)));
        told.push((
            moment_of_state(to),
            format!("order: {from}{to} (version {})", row.version),
        ));
    }
    for row in rows.messages.iter().filter(|row| row.order == Some(order)) {
        let topic = joined.history.names.topics.text(row.place.topic);
        let kind = row.kind.map_or("", |kind| joined.word(kind));
        told.push((moment_of_message(topic, kind), with_fates(joined, row)));
    }
    for row in rows.requests.iter().filter(|row| row.order == order) {
        let kind = joined.word(row.kind);
        let moment = if kind == "refund" {
            moment::REFUND
        } else {
            moment::CHARGE
        };
        let times = counted(row.attempts, "time");
        told.push((moment, format!("provider: asked for a {kind} {times}")));
    }
    for row in joined.charges_of(order) {
        let key = row.idempotency_key.map_or("no key", |key| joined.word(key));
        let charge = joined.history.names.charges.text(row.charge);
        let amount = joined.money(row.amount_minor);
        told.push((
            moment::CHARGE,
            format!("provider: charge {charge} of {amount} booked under {key}"),
        ));
    }
    for row in rows.refunds.iter().filter(|row| row.order == order) {
        let charge = joined.history.names.charges.text(row.charge);
        let amount = joined.money(row.amount_minor);
        let refund = joined.word(row.refund);
        told.push((
            moment::REFUND,
            format!("provider: refund {refund} gives {amount} of charge {charge} back"),
        ));
    }
    for row in joined.moves_of(order) {
        told.push((
            moment::STOCK,
            format!(
                "inventory: {} x {} taken, {} left (move {})",
                row.quantity.units,
                joined.product_id(row.quantity.product),
                row.on_hand_after,
                row.sequence
            ),
        ));
    }
    for row in joined.told_of(order) {
        let kind = joined.word(row.kind);
        // Just after the event that it was told for.
        told.push((
            moment_of_state(kind) + 2,
            format!(
                "customer: told {kind} by {} at {} (message {}{})",
                joined.word(row.channel),
                joined.word(row.recipient),
                joined.word(row.message),
                around_the_charge(joined, order, row)
            ),
        ));
    }
    told.sort_by_key(|(moment, _)| *moment);
    lines.extend(
        told.into_iter()
            .map(|(_, line)| format!("             {line}")),
    );
    lines.push(format!("    at last  {}", ending(joined, order)));
}

/// How long before or after the first charge a customer was told.
fn around_the_charge(joined: &Joined<'_>, order: Key<Orders>, row: &ToldRow) -> String {
    let Some(charged_us) = joined.first_charged_us(order) else {
        return String::new();
    };
    let apart_ms = row.at_us.abs_diff(charged_us) / 1_000;
    let when = if row.at_us < charged_us {
        "before"
    } else {
        "after"
    };
    format!(", {apart_ms} ms {when} the charge was booked")
}

fn ending(joined: &Joined<'_>, order: Key<Orders>) -> String {
    let charged: i64 = joined
        .charges_of(order)
        .map(|row| row.amount_minor)
        .fold(0, i64::saturating_add);
    let refunded = joined
        .charges_of(order)
        .map(|row| joined.refunded(row.charge))
        .fold(0, i64::saturating_add);
    let state = joined.order(order).map_or_else(
        || "not in the order table".to_owned(),
        |row| {
            let lasting = if row.is_final { "final" } else { "not final" };
            format!(
                "{} ({lasting}), version {}",
                joined.word(row.state),
                row.version
            )
        },
    );
    format!(
        "order {} is {state}; charged {}, given back {}",
        joined.order_id(order),
        joined.money(charged),
        joined.money(refunded)
    )
}

fn with_fates(joined: &Joined<'_>, row: &MessageRow) -> String {
    let fates: Vec<_> = joined
        .queue
        .fates(row)
        .filter_map(|(group, fate)| {
            let group_name = joined.history.names.groups.text(group);
            Some(match fate {
                Fate::NotConcerned => return None,
                Fate::Done => format!("done by {group_name}"),
                Fate::Parked => format!(
                    "parked by {group_name}{}",
                    parked_because(joined, group, row.place)
                ),
                Fate::Pending => format!("not read by {group_name} yet"),
                Fate::Lost => format!("read past by {group_name}, neither done nor parked"),
            })
        })
        .collect();
    let fates = if fates.is_empty() {
        "nobody acts upon it".to_owned()
    } else {
        fates.join(", ")
    };
    let kind = row.kind.map_or("unreadable", |kind| joined.word(kind));
    format!("queue: {kind} at {}: {fates}", place(joined, row.place))
}

fn parked_because(joined: &Joined<'_>, group: Key<crate::names::Groups>, place: Place) -> String {
    let parked = &joined.history.rows.parked;
    parked
        .iter()
        .find(|row| row.group == group && row.place == place)
        .map_or_else(String::new, |row| format!(" ({})", joined.word(row.reason)))
}

fn product_life(joined: &Joined<'_>, product: Key<Products>, lines: &mut Vec<String>) {
    if let Some(row) = joined.stock(product) {
        lines.push(format!(
            "product {} begins with {} units",
            joined.product_id(product),
            row.initial
        ));
    }
    let mut moves: Vec<_> = joined.moves_of_product(product).collect();
    moves.sort_by_key(|row| row.sequence);
    for row in moves {
        let state = joined
            .order(row.order)
            .map_or("not in the order table", |order| joined.word(order.state));
        lines.push(format!(
            "move {}: {} taken, {} left, for order {} ({state})",
            row.sequence,
            row.quantity.units,
            row.on_hand_after,
            joined.order_id(row.order)
        ));
    }
    if let Some(row) = joined.stock(product) {
        let at_end = format!(
            "product {} ends with {} units",
            joined.product_id(product),
            row.on_hand
        );
        lines.insert(lines.len().min(STORY_LINES - 1), at_end);
    }
}

/// The moments of an order's life, in the order in which one causes the next.
mod moment {
    pub(super) const PLACED: u8 = 10;
    pub(super) const PENDING: u8 = 12;
    pub(super) const CHARGE_ASKED: u8 = 14;
    pub(super) const CHARGE: u8 = 16;
    pub(super) const CHARGE_ANSWERED: u8 = 18;
    pub(super) const PAID: u8 = 20;
    pub(super) const STOCK: u8 = 30;
    pub(super) const STOCK_ANSWERED: u8 = 32;
    pub(super) const FULFILLED: u8 = 34;
    pub(super) const REFUND_ASKED: u8 = 40;
    pub(super) const REFUND: u8 = 42;
    pub(super) const REFUND_ANSWERED: u8 = 44;
    pub(super) const REFUNDED: u8 = 46;
    pub(super) const OTHER: u8 = 50;
}

fn moment_of_state(state: &str) -> u8 {
    match state {
        lifecycle::PLACED => moment::PLACED,
        lifecycle::PAYMENT_PENDING => moment::PENDING,
        lifecycle::PAID | lifecycle::DECLINED => moment::PAID,
        lifecycle::FULFILLED | lifecycle::OUT_OF_STOCK => moment::FULFILLED,
        lifecycle::REFUNDED => moment::REFUNDED,
        _ => moment::OTHER,
    }
}

fn moment_of_message(topic: &str, kind: &str) -> u8 {
    match (topic, kind) {
        (_, "charge") => moment::CHARGE_ASKED,
        ("payment-results", "charged" | "declined") => moment::CHARGE_ANSWERED,
        ("inventory-events", _) => moment::STOCK_ANSWERED,
        (_, "refund") => moment::REFUND_ASKED,
        ("payment-results", "refunded") => moment::REFUND_ANSWERED,
        // Told by the order service: just after the change of state that it announces.
        (_, state) => moment_of_state(state) + 1,
    }
}
