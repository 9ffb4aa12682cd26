//! A rate that grows evenly from nothing to the full rate after the first call, so that an instance that finds a backlog
//! does not throw itself upon the provider. Pure: the caller says what time it is.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// The growth of one instance's rate.
#[derive(Debug)]
pub struct SlowStart {
    grows_for: Duration,
    full_per_s: f64,
    began: Option<Instant>,
    granted: u32,
}

impl SlowStart {
    /// A rate that reaches `full_per_s` so long after the first call.
    pub fn new(grows_for: Duration, full_per_s: NonZeroU32) -> Self {
        Self {
            grows_for,
            full_per_s: f64::from(full_per_s.get()),
            began: None,
            granted: 0,
        }
    }

    /// Asks for leave to call.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub fn ask(&mut self, now: Instant) -> Result<(), Duration> {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began);
        if passed >= self.grows_for {
            return Ok(());
        }
        let due = self.due(self.granted);
        if passed < due {
            return Err(due - passed);
        }
        self.granted = self.granted.saturating_add(1);
        Ok(())
    }

    /// How long after the first call another one may be made when so many were: where the area under a rate that grows
    /// evenly, `full * t * t / (2 * grows_for)`, has that size.
    fn due(&self, granted: u32) -> Duration {
        let seconds = (2.0 * self.grows_for.as_secs_f64() * f64::from(granted) / self.full_per_s)
            .sqrt()
            .min(self.grows_for.as_secs_f64());
        Duration::from_secs_f64(seconds)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: NonZeroU32 = NonZeroU32::new(100).unwrap();
    const GROWS_FOR: Duration = Duration::from_secs(2);

    /// How many calls are let through within a time after the first, when somebody always wants to call.
    fn granted_within(time: Duration) -> u32 {
        let began = Instant::now();
        let mut start = SlowStart::new(GROWS_FOR, FULL);
        let mut now = began;
        let mut granted = 0;
        while now <= began + time && granted < 10_000 {
            match start.ask(now) {
                Ok(()) => granted += 1,
                Err(wait) => now += wait.max(Duration::from_nanos(1)),
            }
        }
        granted
    }

    #[test]
    fn the_first_call_is_made_at_once_and_the_rate_grows() {
        let first_half = granted_within(Duration::from_secs(1));
        let whole = granted_within(Duration::from_millis(1_999));
        assert!((25..=27).contains(&first_half), "{first_half}");
        assert!((99..=102).contains(&whole), "{whole}");
    }

    #[test]
    fn afterwards_it_lets_everybody_through() {
        assert_eq!(granted_within(Duration::from_secs(3)), 10_000);
    }

    proptest! {
        /// Whenever somebody asks: never more calls than the growing rate allows, and a refusal names a time that helps.
        #[test]
        fn never_faster_than_the_growing_rate(steps_ms in proptest::collection::vec(0u64..60, 1..200)) {
            let began = Instant::now();
            let mut start = SlowStart::new(GROWS_FOR, FULL);
            let (mut now, mut granted) = (began, 0.0);
            for step in steps_ms {
                now += Duration::from_millis(step);
                let passed = (now - began).as_secs_f64();
                match start.ask(now) {
                    Ok(()) => {
                        granted += 1.0;
                        if passed < GROWS_FOR.as_secs_f64() {
                            prop_assert!(granted <= 1.0 + 100.0 * passed * passed / 4.0 + 1e-6);
                        }
                    }
                    Err(wait) => prop_assert!(wait > Duration::ZERO && wait <= GROWS_FOR),
                }
            }
        }
    }
}
