//! What was queued while we were down is let out evenly. All instances together keep one rate: each takes the part of it that
//! corresponds to its part of the queue, so that more instances do not mean more calls. Pure: the caller says what time it is.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// When and how fast a backlog is let out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainLimits {
    /// An instance with more messages than this behind it lets them out evenly.
    pub backlog: u64,
    /// Calls of all instances together in a second meanwhile.
    pub rate_per_s: NonZeroU32,
}

/// How one instance lets its part of a backlog out.
#[derive(Debug)]
pub struct Drain {
    limits: DrainLimits,
    /// Time between two calls while there is a backlog.
    gap: Option<Duration>,
    next: Option<Instant>,
}

impl Drain {
    /// Nothing to let out yet.
    pub fn new(limits: DrainLimits) -> Self {
        Self {
            limits,
            gap: None,
            next: None,
        }
    }

    /// So many messages are behind this instance, which has this share of the queue, from 0 to 1.
    pub fn note(&mut self, backlog: u64, share: f64) {
        let rate = f64::from(self.limits.rate_per_s.get()) * share;
        let is_behind = backlog > self.limits.backlog && rate > 0.0;
        self.gap = is_behind.then(|| Duration::from_secs_f64(rate.recip()));
    }

    /// Asks for leave to call.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub fn ask(&mut self, now: Instant) -> Result<(), Duration> {
        let Some(gap) = self.gap else {
            self.next = None;
            return Ok(());
        };
        let due = self.next.unwrap_or(now);
        if due > now {
            return Err(due - now);
        }
        // Whoever comes late is not made up for: that would be a burst.
        self.next = Some(now + gap);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DrainLimits = DrainLimits {
        backlog: 100,
        rate_per_s: NonZeroU32::new(50).unwrap(),
    };

    /// Calls within a second when somebody always wants to call.
    fn calls_in_a_second(backlog: u64, share: f64) -> u32 {
        let mut drain = Drain::new(LIMITS);
        drain.note(backlog, share);
        let began = Instant::now();
        let (mut now, mut calls) = (began, 0);
        while now < began + Duration::from_secs(1) && calls < 10_000 {
            match drain.ask(now) {
                Ok(()) => calls += 1,
                Err(wait) => now += wait,
            }
        }
        calls
    }

    #[test]
    fn all_instances_together_keep_the_rate() {
        assert_eq!(calls_in_a_second(101, 1.0), 50);
        assert_eq!(calls_in_a_second(101, 0.5), 25);
        assert_eq!(calls_in_a_second(5_000, 0.1), 5);
    }

    #[test]
    fn without_a_backlog_nobody_is_held_up() {
        assert_eq!(calls_in_a_second(100, 1.0), 10_000);
        assert_eq!(calls_in_a_second(5_000, 0.0), 10_000);
    }

    #[test]
    fn once_it_has_drained_everybody_goes_on() {
        let now = Instant::now();
        let mut drain = Drain::new(LIMITS);
        drain.note(101, 1.0);
        assert!(drain.ask(now).is_ok());
        assert!(drain.ask(now).is_err());
        drain.note(3, 1.0);
        assert!(drain.ask(now).is_ok());
    }
}
