//! `every-message-accounted`: for every consumer group that reads its topic, a message is done (the group recorded its
//! id), parked in a dead-letter topic, or pending (the group has not read that far). A topic that no group reads accounts
//! for nothing that stands in it. What lies in a dead-letter topic says why, and is a message that was there.
//!
//! A copy of a message that is done or parked is done or parked with it: a redelivery keeps its id. Reading stopped
//! short of a partition's end leaves the verdict undetermined. While the pipeline still moves, what was read and what
//! was recorded may differ.

use std::collections::HashSet;

use crate::join::{Fate, Joined};
use crate::row::{ParkedRow, Place};
use crate::story;
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "messages",
    one: "is not accounted for",
    several: "are not accounted for",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let rows = &joined.history.rows;
    if let Some(reason) = read_short(joined) {
        return Verdict::Undetermined { reason };
    }
    let mut offences = Offences::new(joined);
    for message in &rows.messages {
        let subject = Subject::Message(message.place, message.order);
        if !joined.queue.is_read(message.place.topic) {
            offences.add_unless_moving(subject, 1, || {
                format!(
                    "no consumer group reads {}",
                    story::message(joined, message)
                )
            });
        }
        for (group, fate) in joined.queue.fates(message) {
            if fate == Fate::Lost {
                offences.add_unless_moving(subject, 1, || {
                    format!(
                        "{} has read past {}, but it is neither done nor parked",
                        joined.history.names.groups.text(group),
                        story::message(joined, message)
                    )
                });
                break;
            }
        }
    }
    judge_dead_letters(joined, &mut offences);
    offences.verdict(rows.messages.len() as u64, &HEADLINE)
}

/// Whether every dead letter says why, and is a message that was there.
fn judge_dead_letters(joined: &Joined<'_>, offences: &mut Offences<'_, '_>) {
    let parked = &joined.history.rows.parked;
    if parked.is_empty() {
        return;
    }
    let mut unknown: HashSet<Place> = parked.iter().map(|row| row.place).collect();
    for message in &joined.history.rows.messages {
        unknown.remove(&message.place);
    }
    for row in parked {
        let wrong = if unknown.contains(&row.place) {
            "there is no such message"
        } else if joined.word(row.reason).trim().is_empty() {
            "nothing says why"
        } else {
            continue;
        };
        offences.add_unless_moving(Subject::Message(row.place, None), 1, || {
            dead_letter(joined, row, wrong)
        });
    }
}

fn dead_letter(joined: &Joined<'_>, row: &ParkedRow, wrong: &str) -> String {
    format!(
        "{} has parked {}, but {wrong}",
        joined.history.names.groups.text(row.group),
        story::place(joined, row.place)
    )
}

/// Whether the observation of a topic ended before the topic did.
fn read_short(joined: &Joined<'_>) -> Option<String> {
    joined.history.rows.progress.iter().find_map(|row| {
        let read = joined
            .queue
            .read_up_to(row.topic, row.partition)
            .map_or(0, |highest| highest.saturating_add(1));
        (read < row.end).then(|| {
            format!(
                "{}/{} was read up to offset {read}, but ends at {}",
                joined.history.names.topics.text(row.topic),
                row.partition,
                row.end
            )
        })
    })
}
