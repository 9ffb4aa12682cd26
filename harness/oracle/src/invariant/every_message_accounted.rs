//! `every-message-accounted`: for every consumer group that reads its topic, a message is done (the group recorded its
//! id), parked in a dead-letter topic, or pending (the group has not read that far).
//!
//! A copy of a message that is done or parked is done or parked with it: a redelivery keeps its id. Reading stopped
//! short of a partition's end leaves the verdict undetermined. While the pipeline still moves, what was read and what
//! was recorded may differ.

use crate::join::{Fate, Joined};
use crate::story;
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "messages",
    one: "vanished",
    several: "vanished",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let rows = &joined.history.rows;
    if let Some(reason) = read_short(joined) {
        return Verdict::Undetermined { reason };
    }
    let mut offences = Offences::new(joined);
    for message in &rows.messages {
        for (group, fate) in joined.queue.fates(message) {
            if fate == Fate::Lost {
                offences.add_unless_moving(
                    Subject::Message(message.place, message.order),
                    1,
                    || {
                        format!(
                            "{} has read past {}, but it is neither done nor parked",
                            joined.history.names.groups.text(group),
                            story::message(joined, message)
                        )
                    },
                );
                break;
            }
        }
    }
    offences.verdict(rows.messages.len() as u64, &HEADLINE)
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
