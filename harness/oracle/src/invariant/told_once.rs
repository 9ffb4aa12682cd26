//! `told-once`: every customer is told exactly once, over every channel, what the life of the order calls for, and nothing
//! that it does not.
//!
//! What is called for is data: for each state that an order has come to, what is said and over which channels. Told twice
//! is wrong at any time; what was not told yet, or of a state that the order has not reached, only once the pipeline is at
//! rest. An event that was parked by the group that tells is not told, and is accounted for where it is parked.

use std::collections::HashSet;

use crate::join::{Fate, Joined};
use crate::names::{Groups, Key, Orders, Words};
use crate::row::TellsRow;
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "orders",
    one: "was not told once what became of it",
    several: "were not told once what became of them",
};

/// Events that were parked: by which group, of which order, saying what.
type ParkedEvents = HashSet<(Key<Groups>, Key<Orders>, Key<Words>)>;

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let rows = &joined.history.rows;
    if rows.tells.is_empty() && !rows.told.is_empty() {
        return Verdict::Undetermined {
            reason: "nothing says what customers are to be told".to_owned(),
        };
    }
    let parked = parked_events(joined);
    let mut offences = Offences::new(joined);
    let mut checked = 0;
    for order in joined.orders() {
        if joined.order(order).is_none() && joined.told_of(order).len() == 0 {
            continue;
        }
        checked += 1;
        if let Some(problem) = problem(joined, order, &parked) {
            let subject = Subject::Order(order);
            let sentence = || problem.in_words(joined, order);
            if problem.times > 1 {
                offences.add(subject, problem.times, sentence);
            } else {
                offences.add_unless_moving(subject, 1, sentence);
            }
        }
    }
    offences.verdict(checked, &HEADLINE)
}

/// The first thing that is wrong with what a customer was told, the worst first.
struct Problem {
    kind: Key<Words>,
    channel: Key<Words>,
    /// How often it was told.
    times: u64,
}

impl Problem {
    fn in_words(&self, joined: &Joined<'_>, order: Key<Orders>) -> String {
        let (id, kind) = (joined.order_id(order), joined.word(self.kind));
        let channel = joined.word(self.channel);
        let state = joined
            .order(order)
            .map_or("not in the order table", |row| joined.word(row.state));
        match self.times {
            0 => format!(
                "order {id} is {state}, and its customer was never told \"{kind}\" by {channel}"
            ),
            1 => format!(
                "order {id} is {state}, and its customer was told \"{kind}\" by {channel}, which does not go with it"
            ),
            times => {
                format!("the customer of order {id} was told \"{kind}\" by {channel} {times} times")
            }
        }
    }
}

fn problem(joined: &Joined<'_>, order: Key<Orders>, parked: &ParkedEvents) -> Option<Problem> {
    let tells = &joined.history.rows.tells;
    let mut worst: Option<Problem> = None;
    let mut note = |kind, channel, times| {
        if worst.as_ref().is_none_or(|known| times > known.times) {
            worst = Some(Problem {
                kind,
                channel,
                times,
            });
        }
    };
    for row in joined.told_of(order) {
        let times = times_told(joined, order, row.kind, row.channel);
        let is_called_for = tells
            .iter()
            .any(|tells| tells.kind == row.kind && tells.channels.contains(&row.channel))
            && has_come_to(joined, order, row.kind);
        if times > 1 || !is_called_for {
            note(row.kind, row.channel, times);
        }
    }
    for TellsRow {
        group,
        kind,
        channels,
    } in tells
    {
        if !has_come_to(joined, order, *kind) || parked.contains(&(*group, order, *kind)) {
            continue;
        }
        for channel in channels {
            if times_told(joined, order, *kind, *channel) == 0 {
                note(*kind, *channel, 0);
            }
        }
    }
    worst
}

fn times_told(
    joined: &Joined<'_>,
    order: Key<Orders>,
    kind: Key<Words>,
    channel: Key<Words>,
) -> u64 {
    let told = joined.told_of(order);
    let same = told.filter(|row| row.kind == kind && row.channel == channel);
    same.count() as u64
}

/// Whether an order is in a state or was.
fn has_come_to(joined: &Joined<'_>, order: Key<Orders>, state: Key<Words>) -> bool {
    joined.order(order).is_some_and(|row| row.state == state)
        || joined.audit_of(order).any(|row| row.to == state)
}

fn parked_events(joined: &Joined<'_>) -> ParkedEvents {
    let rows = &joined.history.rows;
    if rows.parked.is_empty() {
        return ParkedEvents::new();
    }
    let events = rows
        .messages
        .iter()
        .filter_map(|row| Some((row, row.order?, row.kind?)));
    events
        .flat_map(|(row, order, kind)| {
            let fates = joined.queue.fates(row);
            fates
                .filter(|(_, fate)| *fate == Fate::Parked)
                .map(move |(group, _)| (group, order, kind))
        })
        .collect()
}
