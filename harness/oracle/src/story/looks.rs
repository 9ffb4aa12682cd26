//! How an order was shown to customers, by time. Looks in a row that show the same are told as one.

use super::seconds;
use crate::join::Joined;
use crate::names::{Key, Orders};
use crate::row::LookRow;
use crate::verdict::counted;

/// What is told, each with its time.
pub(super) fn of_order(joined: &Joined<'_>, order: Key<Orders>) -> Vec<(u64, String)> {
    let mut looks: Vec<&LookRow> = joined.looks_of(order).collect();
    looks.sort_by_key(|row| row.answered_us);
    let what = |row: &LookRow| (row.customer, row.state, row.version);
    looks
        .chunk_by(|one, next| what(one) == what(next))
        .filter_map(|same| {
            let (first, last) = (same.first()?, same.last()?);
            Some((first.answered_us, in_words(joined, first, last, same.len())))
        })
        .collect()
}

fn in_words(joined: &Joined<'_>, first: &LookRow, last: &LookRow, looks: usize) -> String {
    let version = first
        .version
        .map_or_else(String::new, |version| format!(", version {version}"));
    let again = match looks {
        1 => String::new(),
        _ => format!(
            " ({}, the last at {} s)",
            counted(looks as u64, "look"),
            seconds(last.answered_us)
        ),
    };
    format!(
        "customer {} is shown order {} as {}{version}{again}",
        joined.word(first.customer),
        joined.order_id(first.order),
        joined.word(first.state)
    )
}
