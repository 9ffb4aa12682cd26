//! What the dashboards say, beside what the audit trail and the topic say.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Joined;
use crate::lifecycle;
use crate::names::{Groups, Key, Topics, Words};
use crate::row::{AuditRow, ClaimRow, Window};

/// What happened in one window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) placed: i64,
    pub(crate) paid: i64,
    pub(crate) refunded: i64,
    pub(crate) revenue_minor: i64,
}

/// By window, and by currency where every order names its own.
pub(crate) type FiguresByWindow = BTreeMap<(Window, Option<Key<Words>>), Figures>;

/// The events of a partition, each at the offset at which it first appears there, in order.
#[derive(Debug, Default)]
struct PartitionEvents {
    /// All of them.
    all: Vec<i64>,
    /// Those that no other partition has as well. The others count in one partition, and nobody can say in which.
    own: Vec<i64>,
}

/// How many events a partition had at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventCount {
    /// Different events.
    pub(crate) at_most: i64,
    /// Those that can count nowhere else.
    pub(crate) at_least: i64,
}

/// The dashboards and the truth, ready to be compared.
#[derive(Debug)]
pub(crate) struct Dashboards {
    /// What the dashboards show.
    pub(crate) shown: FiguresByWindow,
    /// The same from the audit trail; none when the trail does not say when things happened.
    pub(crate) truth: Option<FiguresByWindow>,
    events: HashMap<(Key<Groups>, Key<Topics>, i32), PartitionEvents>,
    newest_build: Option<i64>,
}

impl Dashboards {
    pub(crate) fn new(joined: &Joined<'_>) -> Self {
        let by_currency = joined
            .history
            .rows
            .orders
            .iter()
            .all(|row| row.currency.is_some());
        Self {
            shown: shown(joined, by_currency),
            truth: truth(joined, by_currency),
            events: events(joined),
            newest_build: joined.history.rows.claims.iter().map(|row| row.build).max(),
        }
    }

    /// Whether a claim is of the newest build.
    pub(crate) fn is_newest(&self, claim: &ClaimRow) -> bool {
        Some(claim.build) == self.newest_build
    }

    /// How many different events the partition of a claim had before its end.
    pub(crate) fn events_before_end(&self, claim: &ClaimRow) -> EventCount {
        let place = (claim.group, claim.topic, claim.partition);
        let before_end = |offsets: &Vec<i64>| {
            let count = offsets.partition_point(|offset| *offset < claim.end_offset);
            i64::try_from(count).unwrap_or(i64::MAX)
        };
        let events = self.events.get(&place);
        EventCount {
            at_most: events.map_or(0, |events| before_end(&events.all)),
            at_least: events.map_or(0, |events| before_end(&events.own)),
        }
    }
}

fn shown(joined: &Joined<'_>, by_currency: bool) -> FiguresByWindow {
    let mut shown: BTreeMap<_, Figures> = BTreeMap::new();
    for row in &joined.history.rows.dashboard {
        let figures = shown
            .entry((row.window, by_currency.then_some(row.currency)))
            .or_default();
        figures.placed = figures.placed.saturating_add(row.placed);
        figures.paid = figures.paid.saturating_add(row.paid);
        figures.refunded = figures.refunded.saturating_add(row.refunded);
        figures.revenue_minor = figures.revenue_minor.saturating_add(row.revenue_minor);
    }
    shown
}

/// Windows have one length, which the dashboards choose; without any row it does not matter.
fn truth(joined: &Joined<'_>, by_currency: bool) -> Option<FiguresByWindow> {
    let length_s = joined
        .history
        .rows
        .dashboard
        .first()
        .map_or(1, |row| row.window.length_s.max(1));
    let mut truth: BTreeMap<_, Figures> = BTreeMap::new();
    for order in joined.orders() {
        let Some(row) = joined.order(order) else {
            continue;
        };
        for state in [lifecycle::PLACED, lifecycle::PAID, lifecycle::REFUNDED] {
            let Some(change) = first_change_to(joined, joined.audit_of(order), state) else {
                continue;
            };
            let window = window_of(change.at_ms?, length_s);
            let figures = truth
                .entry((window, row.currency.filter(|_| by_currency)))
                .or_default();
            match state {
                lifecycle::PLACED => figures.placed += 1,
                lifecycle::PAID => {
                    figures.paid += 1;
                    figures.revenue_minor = figures.revenue_minor.saturating_add(row.amount_minor);
                }
                _ => figures.refunded += 1,
            }
        }
    }
    Some(truth)
}

fn first_change_to<'h>(
    joined: &Joined<'h>,
    trail: impl Iterator<Item = &'h AuditRow>,
    state: &str,
) -> Option<&'h AuditRow> {
    trail
        .filter(|row| joined.word(row.to) == state)
        .min_by_key(|row| row.version)
}

fn window_of(at_ms: i64, length_s: i64) -> Window {
    let at_s = at_ms.div_euclid(1_000);
    Window {
        start_s: at_s - at_s.rem_euclid(length_s),
        length_s,
    }
}

/// Only of topics that a claim speaks of. What its group parked is no event, and neither is what has no id.
fn events(joined: &Joined<'_>) -> HashMap<(Key<Groups>, Key<Topics>, i32), PartitionEvents> {
    let rows = &joined.history.rows;
    let fed: HashSet<_> = rows
        .claims
        .iter()
        .map(|row| (row.group, row.topic))
        .collect();
    let parked: HashSet<_> = rows
        .parked
        .iter()
        .map(|row| (row.group, row.place))
        .collect();
    let mut events: HashMap<_, PartitionEvents> = HashMap::new();
    for (group, topic) in fed {
        let mut seen: HashMap<_, BTreeMap<i32, i64>> = HashMap::new();
        for row in rows.messages.iter().filter(|row| row.place.topic == topic) {
            let Some(message) = row.message else { continue };
            if parked.contains(&(group, row.place)) {
                continue;
            }
            let places = seen.entry(message).or_default();
            let first = places.entry(row.place.partition);
            let first = first.or_insert(row.place.offset);
            *first = (*first).min(row.place.offset);
        }
        for places in seen.values() {
            for (partition, offset) in places {
                let events = events.entry((group, topic, *partition)).or_default();
                events.all.push(*offset);
                if places.len() == 1 {
                    events.own.push(*offset);
                }
            }
        }
    }
    for events in events.values_mut() {
        events.all.sort_unstable();
        events.own.sort_unstable();
    }
    events
}
