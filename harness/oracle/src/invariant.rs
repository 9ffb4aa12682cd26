//! The promises that are checked after every drill, whatever its own story is. One file each.

mod accepted_order_never_lost;
mod amount_is_price_shown;
mod audit_complete;
mod dashboards_true;
mod every_message_accounted;
mod every_order_final;
mod no_charge_without_order;
mod no_double_decrement;
mod no_duplicate_charge;
mod refused_leaves_no_trace;
mod status_never_goes_backwards;
mod stock_adds_up;
mod stock_never_negative;
mod told_after_payment;
mod told_once;

use serde::{Deserialize, Serialize};

use crate::join::Joined;
use crate::record::FactKind;
use crate::verdict::Verdict;

/// A promise that is checked after every drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invariant {
    /// Nobody pays twice.
    NoDuplicateCharge,
    /// Money and goods match.
    NoChargeWithoutOrder,
    /// What was accepted is there.
    AcceptedOrderNeverLost,
    /// Every order comes to an end.
    EveryOrderFinal,
    /// Nothing is sold that is not there.
    StockNeverNegative,
    /// The books of the warehouse agree.
    StockAddsUp,
    /// No order takes more than it ordered.
    NoDoubleDecrement,
    /// Every change of state has its audit row.
    AuditComplete,
    /// Nothing vanishes from the queue.
    EveryMessageAccounted,
    /// What was refused did not happen.
    RefusedLeavesNoTrace,
    /// Nobody pays a price that they did not see.
    AmountIsPriceShown,
    /// Every customer hears everything once.
    ToldOnce,
    /// Nobody hears too early that an order is paid.
    ToldAfterPayment,
    /// The dashboards say what happened, or that they do not know.
    DashboardsTrue,
    /// Who has seen how an order stands is not shown later how it stood before.
    StatusNeverGoesBackwards,
}

impl Invariant {
    /// All invariants, in the order in which they are reported.
    pub const ALL: [Self; 15] = [
        Self::NoDuplicateCharge,
        Self::NoChargeWithoutOrder,
        Self::AcceptedOrderNeverLost,
        Self::EveryOrderFinal,
        Self::StockNeverNegative,
        Self::StockAddsUp,
        Self::NoDoubleDecrement,
        Self::AuditComplete,
        Self::EveryMessageAccounted,
        Self::RefusedLeavesNoTrace,
        Self::AmountIsPriceShown,
        Self::ToldOnce,
        Self::ToldAfterPayment,
        Self::DashboardsTrue,
        Self::StatusNeverGoesBackwards,
    ];

    /// The name under which it is listed, tagged and reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoDuplicateCharge => "no-duplicate-charge",
            Self::NoChargeWithoutOrder => "no-charge-without-order",
            Self::AcceptedOrderNeverLost => "accepted-order-never-lost",
            Self::EveryOrderFinal => "every-order-final",
            Self::StockNeverNegative => "stock-never-negative",
            Self::StockAddsUp => "stock-adds-up",
            Self::NoDoubleDecrement => "no-double-decrement",
            Self::AuditComplete => "audit-complete",
            Self::EveryMessageAccounted => "every-message-accounted",
            Self::RefusedLeavesNoTrace => "refused-leaves-no-trace",
            Self::AmountIsPriceShown => "amount-is-price-shown",
            Self::ToldOnce => "told-once",
            Self::ToldAfterPayment => "told-after-payment",
            Self::DashboardsTrue => "dashboards-true",
            Self::StatusNeverGoesBackwards => "status-never-goes-backwards",
        }
    }

    /// The invariant of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|invariant| invariant.name() == name)
    }

    /// What is promised, in one sentence.
    pub fn promise(self) -> &'static str {
        match self {
            Self::NoDuplicateCharge => {
                "No purchase is charged more than once, not even if the second charge is given back."
            }
            Self::NoChargeWithoutOrder => {
                "Every charge belongs to an order that was fulfilled for that amount or is given back in full, and every fulfilled order was charged."
            }
            Self::AcceptedOrderNeverLost => {
                "Every order that a customer was told is accepted is there, with what was ordered."
            }
            Self::EveryOrderFinal => "Every order reaches a final state.",
            Self::StockNeverNegative => "No product's stock is ever below zero.",
            Self::StockAddsUp => {
                "For every product the units gone from stock, the stock moves and the units of fulfilled orders are the same."
            }
            Self::NoDoubleDecrement => {
                "A fulfilled order takes from stock exactly what it ordered, once; an order that is not fulfilled takes nothing."
            }
            Self::AuditComplete => {
                "Every order has one audit row for each change of its state, and the changes are legal."
            }
            Self::EveryMessageAccounted => {
                "Every message of every topic is done, parked in a dead-letter topic with the reason, or pending in each group that reads it; every dead letter is a message that was there."
            }
            Self::RefusedLeavesNoTrace => {
                "A purchase that was only ever refused leaves no order, no charge and no stock move."
            }
            Self::AmountIsPriceShown => {
                "No order is accepted, and no charge is made, for another amount than the customer was shown."
            }
            Self::ToldOnce => {
                "Every customer is told exactly once, over every channel, what became of the order, and nothing that did not."
            }
            Self::ToldAfterPayment => {
                "No customer is told that an order is paid before its charge was booked."
            }
            Self::DashboardsTrue => {
                "Dashboards never claim to hold events that they lack, and once the pipeline rests they hold all and equal the truth."
            }
            Self::StatusNeverGoesBackwards => {
                "Nobody who was shown a version of an order, or was answered with it, is shown an older one afterwards."
            }
        }
    }

    /// The kinds of facts without which nothing can be said.
    pub fn needs(self) -> &'static [FactKind] {
        use FactKind::{
            AuditEntry, Charge, DashboardClaim, DashboardRow, Message, Order, OrderLine, Parked,
            Processed, Progress, Refund, Stock, StockMove, Told,
        };
        match self {
            Self::NoDuplicateCharge => &[Order, Charge],
            Self::NoChargeWithoutOrder => &[Order, Charge, Refund],
            Self::AcceptedOrderNeverLost => &[Order, OrderLine],
            Self::EveryOrderFinal => &[Order],
            Self::StockNeverNegative => &[Stock, StockMove],
            Self::StockAddsUp => &[Order, OrderLine, Stock, StockMove],
            Self::NoDoubleDecrement => &[Order, OrderLine, StockMove],
            Self::AuditComplete => &[Order, AuditEntry],
            Self::EveryMessageAccounted => &[Message, Progress, Processed, Parked],
            Self::RefusedLeavesNoTrace => &[Order, Charge, StockMove],
            Self::AmountIsPriceShown => &[Order, Charge],
            Self::ToldOnce => &[Order, AuditEntry, Message, Parked, Told],
            Self::ToldAfterPayment => &[Charge, Told],
            Self::DashboardsTrue => &[
                Order,
                AuditEntry,
                Message,
                Parked,
                DashboardRow,
                DashboardClaim,
            ],
            // What customers were shown is no fact that has to be read.
            Self::StatusNeverGoesBackwards => &[],
        }
    }

    /// Judges a history by this promise. Undetermined when a kind of fact that it needs was not observed.
    pub fn check(self, joined: &Joined<'_>) -> Verdict {
        if let Some(reason) = joined.missing(self.needs()) {
            return Verdict::Undetermined { reason };
        }
        match self {
            Self::NoDuplicateCharge => no_duplicate_charge::check(joined),
            Self::NoChargeWithoutOrder => no_charge_without_order::check(joined),
            Self::AcceptedOrderNeverLost => accepted_order_never_lost::check(joined),
            Self::EveryOrderFinal => every_order_final::check(joined),
            Self::StockNeverNegative => stock_never_negative::check(joined),
            Self::StockAddsUp => stock_adds_up::check(joined),
            Self::NoDoubleDecrement => no_double_decrement::check(joined),
            Self::AuditComplete => audit_complete::check(joined),
            Self::EveryMessageAccounted => every_message_accounted::check(joined),
            Self::RefusedLeavesNoTrace => refused_leaves_no_trace::check(joined),
            Self::AmountIsPriceShown => amount_is_price_shown::check(joined),
            Self::ToldOnce => told_once::check(joined),
            Self::ToldAfterPayment => told_after_payment::check(joined),
            Self::DashboardsTrue => dashboards_true::check(joined),
            Self::StatusNeverGoesBackwards => status_never_goes_backwards::check(joined),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serialised_name_is_the_listed_name() {
        for invariant in Invariant::ALL {
            let json = serde_json::to_value(invariant).unwrap();
            assert_eq!(json, invariant.name());
            assert_eq!(Invariant::named(invariant.name()), Some(invariant));
        }
    }
}
