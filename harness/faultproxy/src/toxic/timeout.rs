//! `timeout`: swallows everything, then closes the connection.
//!
//! ```gherkin
//! When nothing comes through the link "api-gateway -> order-service" any more
//! ```
//! Parameter: `timeout` in milliseconds from when the toxic met the connection; 0 swallows until it is removed. A
//! connection that it was on is closed at its removal, as the stream has a hole by then.

use std::time::Duration;

use tokio::time::Instant;

use super::{Act, Chunk, Effect, Ending, Placed};

#[derive(Debug)]
pub(super) struct Timeout {
    deadline: Option<Instant>,
}

impl Timeout {
    pub(super) fn new(timeout_ms: u64, placed: &Placed) -> Self {
        let deadline = (timeout_ms > 0).then(|| placed.now + Duration::from_millis(timeout_ms));
        Self { deadline }
    }
}

impl Act for Timeout {
    fn pass(&mut self, _chunk: &Chunk<'_>) -> Effect {
        Effect::Discard
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn swallows_end(&self) -> bool {
        true
    }

    fn ending_on_removal(&self) -> Option<Ending> {
        Some(Ending::Close)
    }
}
