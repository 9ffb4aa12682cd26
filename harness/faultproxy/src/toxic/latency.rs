//! `latency`: delivers everything late.
//!
//! ```gherkin
//! When the link "payment-service -> payment-provider" answers 300 ms late
//! ```
//! Parameters: `latency` and `jitter` in milliseconds. Each piece of data is late by latency plus or minus a drawn part
//! of jitter, its order is kept, and the delays do not add up: what arrives together leaves together.

use std::time::Duration;

use super::{Act, Chunk, Effect, Placed};
use crate::dice::Dice;

#[derive(Debug)]
pub(super) struct Latency {
    latency_ms: u64,
    jitter_ms: u64,
    dice: Dice,
}

impl Latency {
    pub(super) fn new(latency_ms: u64, jitter_ms: u64, placed: Placed) -> Self {
        Self {
            latency_ms,
            jitter_ms,
            dice: placed.dice,
        }
    }
}

impl Act for Latency {
    fn pass(&mut self, _chunk: &Chunk<'_>) -> Effect {
        let jitter = if self.jitter_ms == 0 {
            0
        } else {
            self.dice.around_zero(self.jitter_ms)
        };
        match self.latency_ms.saturating_add_signed(jitter) {
            0 => Effect::Pass,
            delay_ms => Effect::Delay(Duration::from_millis(delay_ms)),
        }
    }
}
