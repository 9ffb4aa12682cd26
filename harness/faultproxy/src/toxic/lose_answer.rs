//! `lose_answer`: the request goes through, the answer is lost.
//!
//! ```gherkin
//! When the provider charges, and its answers on the link "payment-service -> payment-provider" are lost
//! ```
//! Parameters: `protocol` (`auto`, `tls`, `plain`), `after_requests`, `share`, `times`, `min_answer_bytes`, `drain_ms`.
//!
//! A request is data that goes upstream; its answer is the first data that comes back thereafter. That data is
//! swallowed and the client's connection closed, while the server's side stays open for `drain_ms`: from the server's
//! point of view nothing went wrong, so it has surely done its work.
//!
//! On TLS connections only application data counts (see [`crate::conversation`]): handshakes pass, and so do alerts,
//! key updates and the session tickets that a TLS 1.3 server sends unasked. Requests and answers of one connection must
//! alternate, as they do in HTTP/1.1 and PostgreSQL. HTTP/2 sends acknowledgements of its own, which
//! `min_answer_bytes` lets through; one cut then loses the answers of all its streams and counts once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Act, Chunk, Effect, Ending, Placed, Protocol};
use crate::conversation::Mark;
use crate::dice::Dice;

/// How long a server's side stays open after the cut unless the toxic says otherwise.
pub(super) const DEFAULT_DRAIN_MS: u64 = 1_000;

/// Less than this is HTTP/2 control traffic: two window updates, a ping's or the settings' acknowledgement.
const HTTP2_CONTROL_BYTES: u64 = 30;
/// Less than this is an HTTP/2 server's greeting: settings, acknowledgement and window update in one.
const HTTP2_GREETING_BYTES: u64 = 70;

#[derive(Debug)]
pub(super) struct Terms {
    pub(super) protocol: Protocol,
    pub(super) after_requests: u64,
    pub(super) share: f64,
    pub(super) min_answer_bytes: Option<u64>,
    pub(super) drain: Duration,
}

#[derive(Debug)]
pub(super) struct LoseAnswer {
    terms: Terms,
    dice: Dice,
    left: Arc<AtomicU64>,
    /// The upstream marks that have their answer.
    answered_marks: u64,
    /// Answers seen since the toxic was put on.
    answers: u64,
}

impl LoseAnswer {
    pub(super) fn new(terms: Terms, placed: Placed) -> Self {
        Self {
            terms,
            dice: placed.dice,
            left: placed.left,
            answered_marks: placed.answered_marks,
            answers: 0,
        }
    }

    fn is_answer(&self, mark: &Mark, chunk: &Chunk<'_>) -> bool {
        let smallest = match self.terms.min_answer_bytes {
            Some(bytes) => bytes,
            None if chunk.multiplexed && mark.is_first => HTTP2_GREETING_BYTES,
            None if chunk.multiplexed => HTTP2_CONTROL_BYTES,
            None => 0,
        };
        chunk.upstream_marks > self.answered_marks && mark.bytes >= smallest
    }

    /// Decides whether this answer is one to lose, and if so takes it off the number that may be lost.
    fn loses(&mut self) -> bool {
        self.answers > self.terms.after_requests
            && self.dice.falls_within(self.terms.share)
            && self
                .left
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                    left.checked_sub(1)
                })
                .is_ok()
    }
}

impl Act for LoseAnswer {
    fn pass(&mut self, chunk: &Chunk<'_>) -> Effect {
        let concerned = match self.terms.protocol {
            Protocol::Auto => true,
            Protocol::Tls => chunk.tls,
            Protocol::Plain => !chunk.tls,
        };
        if !concerned {
            return Effect::Pass;
        }
        for mark in chunk.marks {
            if !self.is_answer(mark, chunk) {
                continue;
            }
            self.answered_marks = chunk.upstream_marks;
            self.answers += 1;
            if self.loses() {
                let keep = mark.offset.min(chunk.bytes.len());
                return Effect::Cut {
                    keep,
                    after: Duration::ZERO,
                    ending: Ending::Drain(self.terms.drain),
                };
            }
        }
        Effect::Pass
    }

    fn waits_for_tickets(&self) -> bool {
        self.left.load(Ordering::Acquire) > 0
    }
}
