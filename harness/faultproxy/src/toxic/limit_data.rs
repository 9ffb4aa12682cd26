//! `limit_data`: closes the connection after a number of bytes.
//!
//! ```gherkin
//! When answers of the link "payment-service -> payment-provider" are cut after 0 bytes
//! ```
//! Parameter: `bytes`, counted on each connection from when the toxic was added. Nothing happens before the first byte
//! that goes in its direction; the connection closes with the byte that reaches the limit.

use std::time::Duration;

use super::{Act, Chunk, Effect, Ending};

#[derive(Debug)]
pub(super) struct LimitData {
    left: u64,
}

impl LimitData {
    pub(super) fn new(bytes: u64) -> Self {
        Self { left: bytes }
    }
}

impl Act for LimitData {
    fn pass(&mut self, chunk: &Chunk<'_>) -> Effect {
        let length = chunk.bytes.len() as u64;
        if length < self.left {
            self.left -= length;
            return Effect::Pass;
        }
        let keep = usize::try_from(self.left).unwrap_or(usize::MAX);
        self.left = 0;
        Effect::Cut {
            keep,
            after: Duration::ZERO,
            ending: Ending::Close,
        }
    }
}
