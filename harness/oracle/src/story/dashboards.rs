//! What the dashboards are made from, for the story of a window or a partition.

use crate::join::Joined;
use crate::names::{Key, Topics};
use crate::row::Window;

/// How many orders, builds or messages are told.
const TOLD: usize = 20;

pub(super) fn of_window(joined: &Joined<'_>, window: Window, lines: &mut Vec<String>) {
    faults(joined, lines);
    let rows = &joined.history.rows;
    for row in rows.dashboard.iter().filter(|row| row.window == window) {
        lines.push(format!(
            "dashboards: {} placed, {} paid for {}, {} given back in {}",
            row.placed,
            row.paid,
            joined.money(row.revenue_minor),
            row.refunded,
            joined.word(row.currency)
        ));
    }
    let end_s = window.start_s.saturating_add(window.length_s);
    let within = |at_ms: i64| (window.start_s..end_s).contains(&at_ms.div_euclid(1_000));
    let changes = rows
        .audit
        .iter()
        .filter(|row| row.at_ms.is_some_and(within));
    let (mut told, mut more) = (0, 0_usize);
    for change in changes {
        if told == TOLD {
            more += 1;
            continue;
        }
        told += 1;
        lines.push(format!(
            "order {} became {} (version {}) {} ms into the window",
            joined.order_id(change.order),
            joined.word(change.to),
            change.version,
            change
                .at_ms
                .unwrap_or(0)
                .saturating_sub(window.start_s.saturating_mul(1_000))
        ));
    }
    if more > 0 {
        lines.push(format!("and {more} more changes in this window"));
    }
    if told == 0 {
        lines.push("the audit trail has no change in this window".to_owned());
    }
}

pub(super) fn of_partition(
    joined: &Joined<'_>,
    topic: Key<Topics>,
    partition: i32,
    lines: &mut Vec<String>,
) {
    faults(joined, lines);
    let rows = &joined.history.rows;
    let claims: Vec<_> = rows
        .claims
        .iter()
        .filter(|row| (row.topic, row.partition) == (topic, partition))
        .collect();
    for claim in &claims[claims.len().saturating_sub(TOLD)..] {
        let complete = if claim.complete {
            "complete"
        } else {
            "incomplete"
        };
        lines.push(format!(
            "build {}: {complete}, {} counted, {} behind, the topic ended at {}",
            claim.build, claim.counted, claim.behind, claim.end_offset
        ));
    }
    let messages: Vec<_> = rows
        .messages
        .iter()
        .filter(|row| (row.place.topic, row.place.partition) == (topic, partition))
        .collect();
    for message in &messages[messages.len().saturating_sub(TOLD)..] {
        lines.push(super::with_fates(joined, message));
    }
}

fn faults(joined: &Joined<'_>, lines: &mut Vec<String>) {
    for fault in &joined.history.faults {
        lines.push(format!(
            "fault \"{}\" was in force on {}",
            fault.fault, fault.target
        ));
    }
}
