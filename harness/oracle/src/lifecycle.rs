//! The states an order passes through, in the words of the facts.

/// The first state of every order.
pub const PLACED: &str = "placed";
/// The payment was asked for.
pub const PAYMENT_PENDING: &str = "payment_pending";
/// The money was taken.
pub const PAID: &str = "paid";
/// The goods were taken from stock: the good end.
pub const FULFILLED: &str = "fulfilled";
/// The provider would not take the money.
pub const DECLINED: &str = "declined";
/// Paid for, but nothing was left to sell.
pub const OUT_OF_STOCK: &str = "out_of_stock";
/// Paid for and not delivered, and the money was given back.
pub const REFUNDED: &str = "refunded";
/// Withdrawn after the payment was asked for, whose outcome is not known yet.
pub const CANCELLING: &str = "cancelling";
/// Withdrawn, but the money had been taken; it goes back.
pub const REFUNDING: &str = "refunding";
/// Withdrawn, and no money was taken.
pub const CANCELLED: &str = "cancelled";

/// Whether an order may go from one state to another; `None` is the state before it existed.
pub fn is_legal(from: Option<&str>, to: &str) -> bool {
    let allowed: &[&str] = match from {
        None => &[PLACED],
        Some(PLACED) => &[PAYMENT_PENDING, CANCELLED],
        // A payment that was asked for may be taken: only its answer tells whether money has to go back.
        Some(PAYMENT_PENDING) => &[PAID, DECLINED, CANCELLING],
        Some(CANCELLING) => &[CANCELLED, REFUNDING],
        Some(PAID) => &[FULFILLED, OUT_OF_STOCK],
        Some(OUT_OF_STOCK | REFUNDING) => &[REFUNDED],
        Some(_) => &[],
    };
    allowed.contains(&to)
}

/// Whether nothing leads on from a state.
pub fn is_final(state: &str) -> bool {
    [FULFILLED, DECLINED, REFUNDED, CANCELLED].contains(&state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_a_final_state_and_nothing_skips_the_payment() {
        let states = [
            PLACED,
            PAYMENT_PENDING,
            PAID,
            FULFILLED,
            DECLINED,
            OUT_OF_STOCK,
            REFUNDED,
            CANCELLING,
            REFUNDING,
            CANCELLED,
        ];
        for from in states {
            let leads_on = states.iter().any(|to| is_legal(Some(from), to));
            assert_eq!(is_final(from), !leads_on, "{from}");
        }
        assert!(!is_legal(Some(PLACED), FULFILLED));
        assert!(!is_legal(Some(PAYMENT_PENDING), FULFILLED));
        assert!(!is_legal(Some(PAYMENT_PENDING), CANCELLED));
        assert!(is_legal(Some(CANCELLING), CANCELLED));
        assert!(is_legal(Some(CANCELLING), REFUNDING));
        assert!(!is_legal(Some(PAID), CANCELLING));
        assert!(!is_legal(None, PAID));
        assert!(is_legal(None, PLACED));
    }
}
