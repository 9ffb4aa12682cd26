//! Who is told what, over which channel. Pure: no I/O, no clock.

use contracts::OrderEventKind;
use uuid::Uuid;

/// Numbers of customers' telephones begin like this; nobody has such a number.
const TELEPHONE_PREFIX: &str = "+491555";

/// Digits of a telephone number behind its prefix.
const TELEPHONE_DIGITS: usize = 8;

/// How a message reaches its recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// An e-mail.
    Email,
    /// A short message to a telephone.
    Sms,
}

impl Channel {
    /// The word for it at the provider, in the database and in keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

/// When an order is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// When it is paid.
    WhenPaid,
    /// As soon as it is placed, trusting that it will be paid.
    WhenPlaced,
}

/// What a customer is told when an event arrives; none when the event is nobody's concern. That an order is paid is the
/// confirmation.
pub fn told(event: OrderEventKind, confirmation: Confirmation) -> Option<OrderEventKind> {
    use OrderEventKind::{Cancelled, Declined, Fulfilled, OutOfStock, Paid, Placed, Refunded};
    match (event, confirmation) {
        (Paid, _) | (Placed, Confirmation::WhenPlaced) => Some(Paid),
        (Declined | Refunded | Cancelled, _) => Some(event),
        (Placed | OutOfStock | Fulfilled, _) => None,
    }
}

/// Over which channels a customer is told.
pub fn channels(told: OrderEventKind) -> &'static [Channel] {
    match told {
        OrderEventKind::Paid => &[Channel::Email, Channel::Sms],
        OrderEventKind::Declined | OrderEventKind::Refunded | OrderEventKind::Cancelled => {
            &[Channel::Email]
        }
        OrderEventKind::Placed | OrderEventKind::OutOfStock | OrderEventKind::Fulfilled => &[],
    }
}

/// Where a customer is reached; none for a customer without a name. The addresses of this shop follow from the
/// customer's id.
pub fn recipient(customer_id: &str, channel: Channel) -> Option<String> {
    let name = customer_id.trim();
    if name.is_empty() {
        return None;
    }
    Some(match channel {
        Channel::Email => format!("{name}@shop.example"),
        Channel::Sms => format!("{TELEPHONE_PREFIX}{}", telephone(name)),
    })
}

/// The digits of an id, or as many that follow from its letters.
fn telephone(name: &str) -> String {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    if (1..=TELEPHONE_DIGITS).contains(&digits.len()) {
        return format!("{digits:0>TELEPHONE_DIGITS$}");
    }
    let sum = name.bytes().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let number = sum % 10_u64.pow(TELEPHONE_DIGITS as u32);
    format!("{number:0>TELEPHONE_DIGITS$}")
}

/// The key that every attempt of a message carries: the same on every attempt, on every instance.
pub fn message_key(order_id: Uuid, told: OrderEventKind, channel: Channel) -> String {
    format!("{order_id}:{}:{}", told.name(), channel.name())
}

/// An amount as customers read it: `12.00 EUR`.
pub fn amount(amount_minor: i64, currency: &str) -> String {
    let sign = if amount_minor < 0 { "-" } else { "" };
    let minor = amount_minor.unsigned_abs();
    format!("{sign}{}.{:02} {currency}", minor / 100, minor % 100)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [OrderEventKind; 7] = [
        OrderEventKind::Placed,
        OrderEventKind::Paid,
        OrderEventKind::Declined,
        OrderEventKind::OutOfStock,
        OrderEventKind::Fulfilled,
        OrderEventKind::Refunded,
        OrderEventKind::Cancelled,
    ];

    #[test]
    fn an_order_is_confirmed_when_it_is_paid_and_by_nothing_else() {
        let confirms = |confirmation| {
            ALL.into_iter()
                .filter(|event| told(*event, confirmation) == Some(OrderEventKind::Paid))
                .collect::<Vec<_>>()
        };
        assert_eq!(confirms(Confirmation::WhenPaid), [OrderEventKind::Paid]);
        assert_eq!(
            confirms(Confirmation::WhenPlaced),
            [OrderEventKind::Placed, OrderEventKind::Paid]
        );
    }

    #[test]
    fn whoever_is_told_something_is_told_it_somewhere() {
        for event in ALL {
            for confirmation in [Confirmation::WhenPaid, Confirmation::WhenPlaced] {
                if let Some(told) = told(event, confirmation) {
                    assert!(!channels(told).is_empty(), "{}", told.name());
                }
            }
        }
    }

    #[test]
    fn a_customer_has_one_address_and_one_number() {
        let reached = |customer, channel| recipient(customer, channel).expect("a name");
        assert_eq!(
            reached("customer-001", Channel::Email),
            "customer-001@shop.example"
        );
        assert_eq!(reached("customer-001", Channel::Sms), "+49155500000001");
        assert_eq!(reached("anna", Channel::Sms).len(), 15);
        assert_ne!(reached("anna", Channel::Sms), reached("otto", Channel::Sms));
        assert_eq!(recipient(" ", Channel::Email), None);
    }

    #[test]
    fn an_amount_has_two_places_and_a_currency() {
        assert_eq!(amount(1_205, "EUR"), "12.05 EUR");
        assert_eq!(amount(-7, "EUR"), "-0.07 EUR");
    }

    proptest! {
        /// The provider takes E.164 numbers only.
        #[test]
        fn every_customer_has_a_number_that_can_be_dialled(customer in "\\PC{1,40}") {
            if let Some(number) = recipient(&customer, Channel::Sms) {
                prop_assert_eq!(number.len(), 15);
                prop_assert!(number[1..].bytes().all(|digit| digit.is_ascii_digit()));
            }
        }
    }
}
