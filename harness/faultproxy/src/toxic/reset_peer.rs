//! `reset_peer`: swallows the next data and resets the connection.
//!
//! ```gherkin
//! When connections of the link "order-service -> postgres" are reset
//! ```
//! Parameter: `timeout`, milliseconds between the data and the reset. Both sides get a TCP RST.

use std::time::Duration;

use super::{Act, Chunk, Effect, Ending};

#[derive(Debug)]
pub(super) struct ResetPeer {
    after: Duration,
}

impl ResetPeer {
    pub(super) fn new(timeout_ms: u64) -> Self {
        Self {
            after: Duration::from_millis(timeout_ms),
        }
    }
}

impl Act for ResetPeer {
    fn pass(&mut self, _chunk: &Chunk<'_>) -> Effect {
        Effect::Cut {
            keep: 0,
            after: self.after,
            ending: Ending::Reset,
        }
    }
}
