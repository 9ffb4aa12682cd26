//! What the order service asks of the payment service, and its answers.

use serde::{Deserialize, Serialize};

use crate::message::{Envelope, Kind};
use crate::topic;

/// A message of `payment-commands`.
pub type PaymentCommand = Envelope<PaymentCommandKind>;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PaymentCommandKind {
    /// Take money for an order.
    Charge {
        /// Minor units of the currency.
        amount_minor: i64,
        /// ISO 4217.
        currency: String,
        /// Who pays.
        customer_id: String,
    },
    /// Give back what was taken for an order.
    Refund {
        /// Minor units of the currency.
        amount_minor: i64,
        /// ISO 4217.
        currency: String,
    },
}

impl Kind for PaymentCommandKind {
    const TOPIC: &'static str = topic::PAYMENT_COMMANDS;

    fn kind(&self) -> &'static str {
        match self {
            Self::Charge { .. } => "charge",
            Self::Refund { .. } => "refund",
        }
    }
}

/// A message of `payment-results`.
pub type PaymentResult = Envelope<PaymentResultKind>;

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PaymentResultKind {
    /// The money was taken.
    Charged {
        /// Id of the charge at the provider.
        charge_id: String,
    },
    /// No money was taken, and none will be.
    Declined {
        /// Why, in the provider's words.
        reason: String,
    },
    /// The money was given back.
    Refunded {
        /// Id of the refund at the provider.
        refund_id: String,
    },
}

impl Kind for PaymentResultKind {
    const TOPIC: &'static str = topic::PAYMENT_RESULTS;

    fn kind(&self) -> &'static str {
        match self {
            Self::Charged { .. } => "charged",
            Self::Declined { .. } => "declined",
            Self::Refunded { .. } => "refunded",
        }
    }
}
