//! The records of a history as compact rows: every name is a key.

use crate::names::{Charges, Groups, Intents, Key, Messages, Orders, Products, Topics, Words};

/// One attempt of a customer.
#[derive(Debug)]
pub(crate) struct OperationRow {
    pub(crate) intent: Key<Intents>,
    pub(crate) attempt: u32,
    pub(crate) customer: Key<Words>,
    pub(crate) idempotency_key: Option<Key<Words>>,
    /// What was wrong with the token, if it was a forged one.
    pub(crate) forged: Option<Key<Words>>,
    pub(crate) started_us: u64,
    pub(crate) ended_us: u64,
    /// Where the ordered lines begin among those of all operations, and how many they are.
    pub(crate) lines: (u32, u32),
    pub(crate) amount_minor: i64,
    pub(crate) outcome: OutcomeRow,
}

/// How an order was shown to a customer.
#[derive(Debug)]
pub(crate) struct LookRow {
    pub(crate) order: Key<Orders>,
    pub(crate) customer: Key<Words>,
    pub(crate) asked_us: u64,
    pub(crate) answered_us: u64,
    pub(crate) state: Key<Words>,
    pub(crate) version: Option<i64>,
}

/// What a customer knows after an attempt; reasons are words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutcomeRow {
    Done(Key<Orders>),
    Refused(Key<Words>),
    Unknown(Key<Words>),
}

/// A product and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity {
    pub(crate) product: Key<Products>,
    pub(crate) units: i64,
}

#[derive(Debug)]
pub(crate) struct OrderRow {
    pub(crate) order: Key<Orders>,
    pub(crate) intent: Key<Intents>,
    pub(crate) state: Key<Words>,
    pub(crate) is_final: bool,
    pub(crate) amount_minor: i64,
    pub(crate) version: i64,
    pub(crate) currency: Option<Key<Words>>,
}

#[derive(Debug)]
pub(crate) struct LineRow {
    pub(crate) order: Key<Orders>,
    pub(crate) quantity: Quantity,
}

#[derive(Debug)]
pub(crate) struct AuditRow {
    pub(crate) order: Key<Orders>,
    pub(crate) version: i64,
    pub(crate) from: Option<Key<Words>>,
    pub(crate) to: Key<Words>,
    pub(crate) at_ms: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct ChargeRow {
    pub(crate) charge: Key<Charges>,
    pub(crate) order: Key<Orders>,
    pub(crate) amount_minor: i64,
    pub(crate) idempotency_key: Option<Key<Words>>,
    pub(crate) at_us: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct RefundRow {
    pub(crate) refund: Key<Words>,
    pub(crate) charge: Key<Charges>,
    pub(crate) order: Key<Orders>,
    pub(crate) amount_minor: i64,
}

#[derive(Debug)]
pub(crate) struct RequestsRow {
    pub(crate) order: Key<Orders>,
    pub(crate) kind: Key<Words>,
    pub(crate) attempts: u64,
}

#[derive(Debug)]
pub(crate) struct StockRow {
    pub(crate) product: Key<Products>,
    pub(crate) initial: i64,
    pub(crate) on_hand: i64,
}

#[derive(Debug)]
pub(crate) struct ShownRow {
    pub(crate) product: Key<Products>,
    pub(crate) on_hand: i64,
}

#[derive(Debug)]
pub(crate) struct MoveRow {
    pub(crate) sequence: i64,
    pub(crate) order: Key<Orders>,
    pub(crate) quantity: Quantity,
    pub(crate) on_hand_after: i64,
}

/// Where a message lies: topic, partition, offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) topic: Key<Topics>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

#[derive(Debug)]
pub(crate) struct MessageRow {
    pub(crate) place: Place,
    pub(crate) message: Option<Key<Messages>>,
    pub(crate) order: Option<Key<Orders>>,
    pub(crate) kind: Option<Key<Words>>,
}

#[derive(Debug)]
pub(crate) struct ProgressRow {
    pub(crate) group: Key<Groups>,
    pub(crate) topic: Key<Topics>,
    pub(crate) partition: i32,
    pub(crate) committed: i64,
    pub(crate) end: i64,
}

#[derive(Debug)]
pub(crate) struct ProcessedRow {
    pub(crate) group: Key<Groups>,
    pub(crate) message: Key<Messages>,
}

#[derive(Debug)]
pub(crate) struct ParkedRow {
    pub(crate) group: Key<Groups>,
    pub(crate) place: Place,
    pub(crate) reason: Key<Words>,
}

#[derive(Debug)]
pub(crate) struct DashboardRow {
    pub(crate) window: Window,
    pub(crate) currency: Key<Words>,
    pub(crate) placed: i64,
    pub(crate) paid: i64,
    pub(crate) refunded: i64,
    pub(crate) revenue_minor: i64,
}

/// A window of event time: its beginning in seconds since 1970, and its length in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Window {
    pub(crate) start_s: i64,
    pub(crate) length_s: i64,
}

#[derive(Debug)]
pub(crate) struct ClaimRow {
    pub(crate) build: i64,
    pub(crate) group: Key<Groups>,
    pub(crate) topic: Key<Topics>,
    pub(crate) partition: i32,
    pub(crate) complete: bool,
    pub(crate) counted: i64,
    pub(crate) behind: i64,
    pub(crate) end_offset: i64,
}

/// Which kinds of messages of a topic a group acts upon.
#[derive(Debug)]
pub(crate) struct ConsumesRow {
    pub(crate) group: Key<Groups>,
    pub(crate) topic: Key<Topics>,
    pub(crate) kinds: Vec<Key<Words>>,
}

/// A message that reached a customer.
#[derive(Debug)]
pub(crate) struct ToldRow {
    pub(crate) message: Key<Words>,
    pub(crate) order: Key<Orders>,
    pub(crate) kind: Key<Words>,
    pub(crate) channel: Key<Words>,
    pub(crate) recipient: Key<Words>,
    pub(crate) at_us: i64,
}

/// What is told once an order has come to a state, over which channels, and by which group.
#[derive(Debug)]
pub(crate) struct TellsRow {
    pub(crate) group: Key<Groups>,
    pub(crate) kind: Key<Words>,
    pub(crate) channels: Vec<Key<Words>>,
}

/// A fault from its start to its end; seldom, so it keeps its names as text.
#[derive(Debug)]
pub(crate) struct FaultRow {
    pub(crate) fault: String,
    pub(crate) target: String,
    pub(crate) started_us: u64,
    pub(crate) healed_us: Option<u64>,
}
