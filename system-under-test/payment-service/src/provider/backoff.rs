//! How long to wait before the next attempt: exponential, capped, spread by jitter. Pure.

use std::time::Duration;

use rand_chacha::rand_core::Rng;

/// The envelope of the waits between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Wait before the first repetition.
    pub base: Duration,
    /// Longest wait, however many attempts failed.
    pub cap: Duration,
    /// Whether waits are spread over the upper half of the envelope, so that those who failed together do not return
    /// together.
    pub jitter: bool,
}

impl Backoff {
    /// No wait at all: what is left when the defence `payment.backoff` is off.
    pub const NONE: Self = Self {
        base: Duration::ZERO,
        cap: Duration::ZERO,
        jitter: false,
    };

    /// Longest wait after `failures` attempts failed in a row (from 1): doubles with each, never above the cap.
    pub fn envelope(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.base
            .checked_mul(1 << doublings)
            .map_or(self.cap, |wait| wait.min(self.cap))
    }

    /// The wait after `failures` attempts failed in a row: the envelope, or with jitter a value between half of it and
    /// all of it.
    pub fn wait(&self, failures: u32, rng: &mut impl Rng) -> Duration {
        let longest = self.envelope(failures);
        if !self.jitter {
            return longest;
        }
        let part = f64::from(rng.next_u32()) / f64::from(u32::MAX);
        longest.mul_f64(0.5 + part / 2.0).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_millis(100),
        cap: Duration::from_secs(5),
        jitter: true,
    };

    #[test]
    fn doubles_up_to_the_cap() {
        let envelopes: Vec<_> = (1..=8).map(|n| BACKOFF.envelope(n).as_millis()).collect();
        assert_eq!(envelopes, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn waits_are_spread() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut waits: Vec<_> = (0..100).map(|_| BACKOFF.wait(3, &mut rng)).collect();
        waits.sort();
        waits.dedup();
        assert!(waits.len() > 90);
        assert!(waits[waits.len() - 1] - waits[0] > Duration::from_millis(150));
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (1..20)
                .map(|n| BACKOFF.wait(n, &mut rng))
                .collect::<Vec<_>>()
        };
        assert_eq!(waits(4), waits(4));
        assert_ne!(waits(4), waits(5));
    }

    proptest! {
        #[test]
        fn stays_within_the_envelope(
            base_ms in 0u64..100_000, cap_ms in 0u64..1_000_000,
            failures in 0u32..=u32::MAX, seed: u64, jitter: bool,
        ) {
            let backoff = Backoff {
                base: Duration::from_millis(base_ms),
                cap: Duration::from_millis(cap_ms),
                jitter,
            };
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let wait = backoff.wait(failures, &mut rng);
            prop_assert!(wait <= backoff.cap);
            prop_assert!(wait <= backoff.envelope(failures));
            prop_assert!(wait * 2 + Duration::from_nanos(2) >= backoff.envelope(failures));
            prop_assert!(backoff.envelope(failures) <= backoff.envelope(failures.saturating_add(1)));
        }
    }
}
