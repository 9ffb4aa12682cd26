//! States of an order, what moves it on, and what is said about it. Pure: no I/O, no clock.

use std::fmt;
use std::str::FromStr;

use contracts::{Envelope, Line, OrderEventBody, OrderEventKind, PaymentCommandKind};
use time::OffsetDateTime;
use uuid::Uuid;

/// Lines of one order at most.
pub const LINES_LIMIT: usize = 50;
/// Units of one line at most.
pub const QUANTITY_LIMIT: i32 = 1000;
/// Length of a customer's note at most, in characters.
pub const NOTE_LIMIT: usize = 20_000;
/// Length of a customer's reference at most, in characters.
pub const REFERENCE_LIMIT: usize = 64;

/// Where an order is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Accepted.
    Placed,
    /// The payment was asked for.
    PaymentPending,
    /// The money was taken.
    Paid,
    /// The stock was taken. Final.
    Fulfilled,
    /// The payment was declined. Final.
    Declined,
    /// Paid, but there was too little stock; the money goes back.
    OutOfStock,
    /// The money was given back. Final.
    Refunded,
    /// The customer gave it up after the payment was asked for; what becomes of the payment is not known yet.
    Cancelling,
    /// Given up, but the money had been taken; it goes back.
    Refunding,
    /// Given up, and no money was taken. Final.
    Cancelled,
}

impl State {
    /// All states.
    pub const ALL: [Self; 10] = [
        Self::Placed,
        Self::PaymentPending,
        Self::Paid,
        Self::Fulfilled,
        Self::Declined,
        Self::OutOfStock,
        Self::Refunded,
        Self::Cancelling,
        Self::Refunding,
        Self::Cancelled,
    ];

    /// The name in the database and in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::PaymentPending => "payment_pending",
            Self::Paid => "paid",
            Self::Fulfilled => "fulfilled",
            Self::Declined => "declined",
            Self::OutOfStock => "out_of_stock",
            Self::Refunded => "refunded",
            Self::Cancelling => "cancelling",
            Self::Refunding => "refunding",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing happens to the order any more.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Fulfilled | Self::Declined | Self::Refunded | Self::Cancelled
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A state's name that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no state of an order")]
pub struct UnknownState(pub String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(name: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| UnknownState(name.to_owned()))
    }
}

/// What others tell us about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The payment service took the money.
    Charged,
    /// The payment service took no money and will not.
    Declined,
    /// The inventory service took the stock.
    Taken,
    /// The inventory service had too little.
    OutOfStock,
    /// The payment service gave the money back.
    Refunded,
}

/// What an answer means for an order in a certain state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The order moves on.
    To(State),
    /// The answer is known already; nothing changes.
    Known,
    /// The answer does not fit the order's life; nothing changes.
    Illegal,
}

impl Answer {
    /// All answers.
    pub const ALL: [Self; 5] = [
        Self::Charged,
        Self::Declined,
        Self::Taken,
        Self::OutOfStock,
        Self::Refunded,
    ];

    /// The state that the answer leads to in an order that nobody gave up.
    pub fn target(self) -> State {
        match self {
            Self::Charged => State::Paid,
            Self::Declined => State::Declined,
            Self::Taken => State::Fulfilled,
            Self::OutOfStock => State::OutOfStock,
            Self::Refunded => State::Refunded,
        }
    }

    /// What the answer means for an order in this state.
    pub fn step_from(self, state: State) -> Step {
        match (state, self) {
            (State::PaymentPending, Self::Charged | Self::Declined)
            | (State::Paid, Self::Taken | Self::OutOfStock)
            | (State::OutOfStock | State::Refunding, Self::Refunded) => Step::To(self.target()),
            // The payment had been asked for when the customer gave the order up.
            (State::Cancelling, Self::Charged) => Step::To(State::Refunding),
            (State::Cancelling, Self::Declined) => Step::To(State::Cancelled),
            _ if self.was_heard_before(state) => Step::Known,
            _ => Step::Illegal,
        }
    }

    /// Whether an order can only be in this state because the answer was given.
    fn was_heard_before(self, state: State) -> bool {
        match self {
            Self::Charged => matches!(
                state,
                State::Paid
                    | State::Fulfilled
                    | State::OutOfStock
                    | State::Refunding
                    | State::Refunded
            ),
            Self::Declined => matches!(state, State::Declined | State::Cancelled),
            Self::Taken => state == State::Fulfilled,
            // What was given back may have been out of stock; whoever says so again changes nothing.
            Self::OutOfStock => matches!(state, State::OutOfStock | State::Refunded),
            Self::Refunded => state == State::Refunded,
        }
    }
}

/// What giving an order up means for it in this state.
pub fn step_at_cancelling(state: State) -> Step {
    match state {
        // The payment was asked for in the same step as the order was placed: only its answer says whether money goes back.
        State::Placed | State::PaymentPending => Step::To(State::Cancelling),
        State::Cancelling | State::Refunding | State::Cancelled => Step::Known,
        State::Paid | State::Fulfilled | State::Declined | State::OutOfStock | State::Refunded => {
            Step::Illegal
        }
    }
}

/// One line of an order with the price it was sold at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricedLine {
    /// The product.
    pub product_id: String,
    /// Units.
    pub quantity: i32,
    /// Price of one unit in minor units of the order's currency.
    pub price_minor: i64,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub order_id: Uuid,
    /// The customer's own purchase reference.
    pub reference: String,
    /// Who ordered.
    pub customer_id: String,
    /// Where it is in its life.
    pub state: State,
    /// Counts the changes of state, from 1.
    pub version: i32,
    /// Sum in minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// What was ordered.
    pub lines: Vec<PricedLine>,
    /// What the customer wants to say about it.
    pub note: Option<String>,
}

/// The price that a customer was shown for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPrice {
    /// Sum in minor units.
    pub amount_minor: i64,
    /// ISO 4217; any currency when the customer's program does not say.
    pub currency: Option<String>,
}

impl ShownPrice {
    /// Whether the order costs what was shown.
    pub fn is_price_of(&self, order: &Order) -> bool {
        let same_currency = self
            .currency
            .as_ref()
            .is_none_or(|currency| *currency == order.currency);
        same_currency && self.amount_minor == order.amount_minor
    }
}

/// The sum of the lines; none when it is larger than can be counted.
pub fn amount(lines: &[PricedLine]) -> Option<i64> {
    lines.iter().try_fold(0_i64, |sum, line| {
        sum.checked_add(line.price_minor.checked_mul(i64::from(line.quantity))?)
    })
}

/// One change of state, for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The order.
    pub order_id: Uuid,
    /// Version after the change.
    pub version: i32,
    /// State before; none for the first.
    pub from: Option<State>,
    /// State after.
    pub to: State,
    /// What brought it about.
    pub cause: &'static str,
    /// When, as the event about it says.
    pub at: OffsetDateTime,
}

/// A message that an order gives rise to.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// For everybody downstream.
    Event(Envelope<OrderEventBody>),
    /// For the payment service.
    Command(Envelope<PaymentCommandKind>),
}

/// What is said when an order was placed and its payment asked for: both happen in one step.
pub fn placed(order: &Order, at: OffsetDateTime) -> (Vec<AuditEntry>, Vec<Message>) {
    let entry = |version, from, to| AuditEntry {
        order_id: order.order_id,
        version,
        from,
        to,
        cause: "customer",
        at,
    };
    let entries = vec![
        entry(1, None, State::Placed),
        entry(2, Some(State::Placed), State::PaymentPending),
    ];
    let charge = PaymentCommandKind::Charge {
        amount_minor: order.amount_minor,
        currency: order.currency.clone(),
        customer_id: order.customer_id.clone(),
    };
    let command = Envelope::once_per_order(order.order_id, at, charge);
    let messages = vec![
        Message::Event(event(order, OrderEventKind::Placed, 1, at)),
        Message::Command(command),
    ];
    (entries, messages)
}

/// What is said when an order has moved on to the state and version that it has now.
pub fn moved_on(order: &Order, at: OffsetDateTime) -> Vec<Message> {
    let kind = match order.state {
        // Nobody knows yet whether money was taken from a customer who gives an order up while it is paid.
        State::Placed | State::PaymentPending | State::Cancelling => return Vec::new(),
        State::Refunding => return vec![refund(order, at)],
        State::Cancelled => OrderEventKind::Cancelled,
        State::Paid => OrderEventKind::Paid,
        State::Fulfilled => OrderEventKind::Fulfilled,
        State::Declined => OrderEventKind::Declined,
        State::OutOfStock => OrderEventKind::OutOfStock,
        State::Refunded => OrderEventKind::Refunded,
    };
    let mut messages = vec![Message::Event(event(order, kind, order.version, at))];
    if order.state == State::OutOfStock {
        messages.push(refund(order, at));
    }
    messages
}

fn refund(order: &Order, at: OffsetDateTime) -> Message {
    let refund = PaymentCommandKind::Refund {
        amount_minor: order.amount_minor,
        currency: order.currency.clone(),
    };
    Message::Command(Envelope::once_per_order(order.order_id, at, refund))
}

fn event(
    order: &Order,
    kind: OrderEventKind,
    sequence: i32,
    at: OffsetDateTime,
) -> Envelope<OrderEventBody> {
    let line = |line: &PricedLine| Line {
        product_id: line.product_id.clone(),
        quantity: line.quantity,
    };
    let lines = order.lines.iter().map(line).collect();
    Envelope::once_per_order(
        order.order_id,
        at,
        OrderEventBody {
            kind,
            sequence,
            lines,
            amount_minor: order.amount_minor,
            currency: order.currency.clone(),
            customer_id: order.customer_id.clone(),
        },
    )
}

#[cfg(test)]
mod tests;
