//! What every call to the provider must pass first: its own wish to be left alone, then a rate limit. Both only wait.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use service_kit::defences::Defences;

use crate::defences::Defence;

/// The gate in front of the provider; it stands open when its defence is off.
pub struct Gate {
    bounds: Option<Bounds>,
}

struct Bounds {
    rate: DefaultDirectRateLimiter,
    quiet_until: Mutex<Option<Instant>>,
}

impl Gate {
    /// A gate that lets so many calls through in a second.
    pub fn new(rate_per_s: NonZeroU32, defences: &Defences<Defence>) -> Self {
        let bounds = || Bounds {
            rate: RateLimiter::direct(Quota::per_second(rate_per_s)),
            quiet_until: Mutex::new(None),
        };
        Self {
            bounds: defences.on(Defence::RateLimit).then(bounds),
        }
    }

    /// Waits until a call may be made. Giving up the wait leaves nothing behind.
    pub async fn pass(&self) {
        let Some(bounds) = &self.bounds else {
            return;
        };
        bounds.rate.until_ready().await;
        // Whoever waited for the rate may meet a wish that came meanwhile.
        while let Some(until) = bounds.quiet_until() {
            tokio::time::sleep_until(until.into()).await;
        }
    }

    /// The provider wants to be left alone for a while: no call of this instance passes before.
    pub fn quiet_for(&self, wait: Duration) {
        if let Some(bounds) = &self.bounds {
            let until = Instant::now() + wait;
            let mut quiet = bounds
                .quiet_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *quiet = (*quiet).max(Some(until));
        }
    }
}

impl Bounds {
    /// Until when no call may be made, if that is still to come.
    fn quiet_until(&self) -> Option<Instant> {
        let quiet = self
            .quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        quiet.filter(|until| *until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: NonZeroU32 = NonZeroU32::new(2).unwrap();

    async fn passes_at_once(gate: &Gate) -> bool {
        let passing = tokio::time::timeout(Duration::from_millis(30), gate.pass());
        passing.await.is_ok()
    }

    #[tokio::test]
    async fn calls_in_a_second_are_bounded() {
        let gate = Gate::new(RATE, &Defences::all());
        gate.pass().await;
        gate.pass().await;
        assert!(!passes_at_once(&gate).await);
    }

    #[tokio::test]
    async fn the_providers_wish_to_be_left_alone_is_kept() {
        let gate = Gate::new(RATE, &Defences::all());
        gate.quiet_for(Duration::from_millis(300));
        gate.quiet_for(Duration::from_millis(10));
        assert!(!passes_at_once(&gate).await);
        gate.pass().await;
    }

    #[tokio::test]
    async fn without_its_defence_the_gate_stands_open() {
        let gate = Gate::new(RATE, &Defences::without([Defence::RateLimit]));
        gate.quiet_for(Duration::from_secs(60));
        for _ in 0..50 {
            assert!(passes_at_once(&gate).await);
        }
    }
}
