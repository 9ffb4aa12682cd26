//! What happened to an order.

use serde::{Deserialize, Serialize};

use crate::message::{Envelope, Kind};
use crate::topic;

/// A message of `order-events`.
pub type OrderEvent = Envelope<OrderEventBody>;

/// The fields of every order event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderEventBody {
    /// What happened.
    pub kind: OrderEventKind,
    /// Version of the order after it happened; larger is later.
    pub sequence: i32,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// Sum of the order in minor units of its currency.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Who ordered.
    pub customer_id: String,
}

/// Name of the optional field in which an order event carries what the customer wrote for whoever packs the goods.
pub const NOTE_FIELD: &str = "note";

impl Kind for OrderEventBody {
    const TOPIC: &'static str = topic::ORDER_EVENTS;

    fn kind(&self) -> &'static str {
        self.kind.name()
    }
}

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderEventKind {
    /// It was accepted.
    Placed,
    /// It was paid; stock may be taken.
    Paid,
    /// The payment was declined. Final.
    Declined,
    /// It was paid, but there was too little stock; the money goes back.
    OutOfStock,
    /// Stock was taken. Final.
    Fulfilled,
    /// The money was given back. Final.
    Refunded,
    /// It was given up before it was paid. Final.
    Cancelled,
}

impl OrderEventKind {
    /// Name of the kind as it stands in the message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Declined => "declined",
            Self::OutOfStock => "out_of_stock",
            Self::Fulfilled => "fulfilled",
            Self::Refunded => "refunded",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A product and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The product.
    pub product_id: String,
    /// Units.
    pub quantity: i32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{read, write};
    use time::macros::datetime;
    use uuid::Uuid;

    #[test]
    fn an_event_is_flat_and_keeps_its_names() {
        let event: OrderEvent = Envelope::once_per_order(
            Uuid::from_u128(3),
            datetime!(2026-11-23 10:00 UTC),
            OrderEventBody {
                kind: OrderEventKind::OutOfStock,
                sequence: 4,
                lines: vec![Line {
                    product_id: "p-0001".into(),
                    quantity: 2,
                }],
                amount_minor: 10,
                currency: "EUR".into(),
                customer_id: "c-1".into(),
            },
        );
        let value = write(&event).expect("writes");
        assert_eq!(value["kind"], OrderEventKind::OutOfStock.name());
        assert_eq!(value["lines"][0]["product_id"], "p-0001");
        assert_eq!(
            read::<OrderEventBody>(value.to_string().as_bytes()).expect("reads"),
            event
        );
    }
}
