//! The toxics on one connection: a piece of data passes those of its direction in the order in which they were added.
//! No I/O here: what is to happen comes out as items with the time at which they are due.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::set::{Entry, ToxicSet};
use super::{Act, Chunk, Effect, Ending, Placed, Stream};
use crate::conversation::{Conversation, HandshakeEnd};
use crate::dice::Dice;

/// What is to happen on one direction of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// These bytes are written.
    Data(Bytes),
    /// The write side is closed: the other side said all it had to say.
    EndOfStream,
    /// The whole connection ends.
    End(Ending),
}

/// Something that is to happen, and when.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) due: Instant,
    pub(crate) what: What,
}

/// One toxic as it is on one connection.
#[derive(Debug)]
struct Acting {
    entry: Arc<Entry>,
    /// `None` where the connection is spared (toxicity).
    act: Option<Box<dyn Act>>,
    /// It made something wait that its removal must release.
    holds: bool,
    answer_lost: bool,
}

/// All toxics on one connection.
#[derive(Debug)]
pub(crate) struct Chain {
    seed: u64,
    /// The connection's number on its proxy.
    number: u64,
    revision: u64,
    releases: u64,
    acting: Vec<Acting>,
    conversation: Conversation,
    released: [bool; 2],
    ending: Option<Ending>,
}

impl Chain {
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        Self {
            seed,
            number,
            revision: 0,
            releases: 0,
            acting: Vec::new(),
            conversation: Conversation::default(),
            released: [false; 2],
            ending: None,
        }
    }

    /// Takes over the proxy's present toxics: puts new ones on, takes removed ones off.
    pub(crate) fn reconcile(&mut self, set: &ToxicSet, now: Instant) {
        if set.revision == self.revision {
            return;
        }
        self.revision = set.revision;
        if std::mem::replace(&mut self.releases, set.releases) != set.releases {
            self.released[Stream::Downstream.index()] = true;
        }
        let mut before = std::mem::take(&mut self.acting);
        for entry in &set.entries {
            let place = before.iter().position(|acting| acting.entry.id == entry.id);
            let known = place.map(|place| before.remove(place));
            let acting = match known {
                Some(acting) if acting.entry.version == entry.version => acting,
                Some(changed) => {
                    self.released[changed.entry.toxic.stream.index()] |= changed.holds;
                    self.put_on(entry, now)
                }
                None => self.put_on(entry, now),
            };
            self.acting.push(acting);
        }
        for gone in before {
            self.released[gone.entry.toxic.stream.index()] |= gone.holds;
            if let Some(ending) = gone.act.and_then(|act| act.ending_on_removal()) {
                gone.entry.counters.connections_cut.add(1);
                self.ending = Some(ending);
            }
        }
    }

    fn put_on(&self, entry: &Arc<Entry>, now: Instant) -> Acting {
        let mut dice = Dice::new(self.seed, &entry.toxic.name, self.number);
        let placed = dice.falls_within(entry.toxic.toxicity).then(|| Placed {
            dice,
            now,
            answered_marks: self.conversation.answered_marks(),
            left: Arc::clone(&entry.left),
        });
        let act = placed.map(|placed| entry.toxic.kind.place(placed));
        Acting {
            entry: Arc::clone(entry),
            act,
            holds: false,
            answer_lost: false,
        }
    }

    /// Sends one piece of data through the toxics of its direction.
    pub(crate) fn pass(&mut self, stream: Stream, bytes: Bytes, now: Instant) -> Vec<Item> {
        let marks = self.conversation.listen(stream, &bytes, now);
        if stream == Stream::Upstream && !marks.is_empty() && !self.waits_for_tickets() {
            self.conversation.expect_no_tickets();
        }
        let mut chunk = Chunk {
            bytes,
            marks: &marks,
            upstream_marks: self.conversation.upstream_marks(),
            multiplexed: self.conversation.is_multiplexed(),
            tls: self.conversation.is_tls(),
        };
        let mut due = now;
        let mut end = None;
        for acting in self
            .acting
            .iter_mut()
            .filter(|acting| acting.entry.toxic.stream == stream)
        {
            let Some(act) = acting.act.as_mut() else {
                continue;
            };
            let length = chunk.bytes.len();
            match act.pass(&chunk) {
                Effect::Pass => {}
                Effect::Delay(delay) => {
                    acting.holds = true;
                    acting.entry.counters.delayed.add(1);
                    acting.entry.counters.acted.add(1);
                    due += delay;
                }
                Effect::Discard => {
                    acting.swallow(length, chunk.upstream_marks, stream);
                    chunk.bytes.clear();
                }
                Effect::Cut {
                    keep,
                    after,
                    ending,
                } => {
                    acting.holds |= !after.is_zero();
                    acting.entry.counters.connections_cut.add(1);
                    acting.swallow(length.saturating_sub(keep), chunk.upstream_marks, stream);
                    chunk.bytes.truncate(keep);
                    end = Some((after, ending));
                }
            }
            if chunk.bytes.is_empty() {
                break;
            }
        }
        let mut items = Vec::with_capacity(2);
        if !chunk.bytes.is_empty() {
            items.push(Item {
                due,
                what: What::Data(chunk.bytes),
            });
        }
        if let Some((after, ending)) = end {
            items.push(Item {
                due: due + after,
                what: What::End(ending),
            });
        }
        items
    }

    /// How the client ended its TLS handshake; once, when it has.
    pub(crate) fn take_handshake_end(&mut self) -> Option<HandshakeEnd> {
        self.conversation.take_handshake_end()
    }

    /// Sends the end of one direction through its toxics; `None` where it is swallowed.
    pub(crate) fn pass_end(&mut self, stream: Stream, now: Instant) -> Option<Item> {
        let swallowed = self
            .on(stream)
            .any(|acting| acting.act.as_ref().is_some_and(|act| act.swallows_end()));
        (!swallowed).then_some(Item {
            due: now,
            what: What::EndOfStream,
        })
    }

    /// Until when requests wait for the server's session tickets, if they do.
    pub(crate) fn held_until(&mut self, stream: Stream, now: Instant) -> Option<Instant> {
        if stream == Stream::Downstream || !self.waits_for_tickets() {
            return None;
        }
        self.conversation.tickets_expected_until(now)
    }

    /// When the toxics end the connection whatever happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.acting
            .iter()
            .filter_map(|acting| acting.act.as_ref()?.deadline())
            .min()
    }

    /// The way in which the connection ends now: a deadline has passed, or a removed toxic has left a hole.
    pub(crate) fn ending(&mut self, now: Instant) -> Option<Ending> {
        let due = |acting: &&Acting| {
            acting
                .act
                .as_ref()
                .and_then(|act| act.deadline())
                .is_some_and(|at| at <= now)
        };
        if self.ending.is_none()
            && let Some(acting) = self.acting.iter().find(due)
        {
            acting.entry.counters.connections_cut.add(1);
            acting.entry.counters.acted.add(1);
            self.ending = Some(Ending::Close);
        }
        self.ending
    }

    /// True once after a toxic that held data of this direction back was changed or removed.
    pub(crate) fn take_released(&mut self, stream: Stream) -> bool {
        std::mem::take(&mut self.released[stream.index()])
    }

    fn on(&self, stream: Stream) -> impl Iterator<Item = &Acting> {
        self.acting
            .iter()
            .filter(move |acting| acting.entry.toxic.stream == stream)
    }

    fn waits_for_tickets(&self) -> bool {
        self.acting.iter().any(|acting| {
            acting
                .act
                .as_ref()
                .is_some_and(|act| act.waits_for_tickets())
        })
    }
}

impl Acting {
    /// Counts what was swallowed, and the answer that it was, once a connection.
    fn swallow(&mut self, bytes: usize, upstream_marks: u64, stream: Stream) {
        let counters = &self.entry.counters;
        counters.acted.add(1);
        counters.discarded_bytes.add(bytes as u64);
        let answer = stream == Stream::Downstream && upstream_marks > 0 && bytes > 0;
        if answer && !self.answer_lost {
            self.answer_lost = true;
            counters.answers_lost.add(1);
        }
    }
}
