//! Seeded chance. Every draw derives from the proxy's seed and from what the draw is for, so that the order in which
//! connections are served does not change what is decided for each of them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A seeded generator for one purpose.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The dice of `purpose` (a toxic's or a rule's name) for the connection with this number.
    pub(crate) fn new(seed: u64, purpose: &str, number: u64) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let bytes = seed
            .to_le_bytes()
            .into_iter()
            .chain(number.to_le_bytes())
            .chain(purpose.bytes());
        for byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(ChaCha8Rng::seed_from_u64(hash))
    }

    /// Uniform in `0.0..1.0`.
    pub(crate) fn share(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True for this share of the draws: never at 0.0, always at 1.0.
    pub(crate) fn falls_within(&mut self, share: f64) -> bool {
        self.share() < share
    }

    /// Uniform in `-width..=width`.
    pub(crate) fn around_zero(&mut self, width: u64) -> i64 {
        let width = i64::try_from(width).unwrap_or(i64::MAX) as f64;
        ((self.share() * 2.0 - 1.0) * width).round() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_purpose_draws_the_same_and_another_does_not() {
        let draws = |seed, purpose, number| {
            let mut dice = Dice::new(seed, purpose, number);
            (0..8).map(|_| dice.share()).collect::<Vec<_>>()
        };
        assert_eq!(draws(1, "a", 1), draws(1, "a", 1));
        assert_ne!(draws(1, "a", 1), draws(2, "a", 1));
        assert_ne!(draws(1, "a", 1), draws(1, "b", 1));
        assert_ne!(draws(1, "a", 1), draws(1, "a", 2));
    }

    #[test]
    fn shares_of_nothing_and_of_everything_are_exact() {
        for number in 0..1_000 {
            assert!(!Dice::new(7, "none", number).falls_within(0.0));
            assert!(Dice::new(7, "all", number).falls_within(1.0));
        }
    }

    #[test]
    fn a_share_is_met_within_reason() {
        let hits = (0..10_000)
            .filter(|n| Dice::new(3, "third", *n).falls_within(0.3))
            .count();
        assert!(
            (2_800..3_200).contains(&hits),
            "{hits} of 10000 at a share of 0.3"
        );
    }
}
