//! `orders-seen`: customers were shown so many orders in a state.

use super::broken;
use crate::join::Joined;
use crate::verdict::Verdict;

pub(super) fn check(joined: &Joined<'_>, state: &str, at_least: u64) -> Verdict {
    let key = joined.history.names.words.find(state);
    let (mut looked_at, mut seen) = (0_u64, 0_u64);
    for order in joined.orders() {
        let mut looks = joined.looks_of(order);
        looked_at += u64::from(looks.len() > 0);
        seen += u64::from(looks.any(|row| Some(row.state) == key));
    }
    if seen >= at_least {
        return Verdict::Holds { checked: looked_at };
    }
    let sentence = format!(
        "of {looked_at} orders that customers looked at, {seen} were seen {state}, at least {at_least} were expected"
    );
    broken(joined, at_least - seen, looked_at, sentence, None)
}
