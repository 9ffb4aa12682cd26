//! The circuit breaker in front of the provider. Pure: the caller says what time it is.
//!
//! Closed, until `failures` calls in a row failed; then open for a time in which nobody calls; then half-open: `probes`
//! calls are let through, one success of all of them closes it, one failure opens it again.

use std::time::{Duration, Instant};

/// When the breaker opens and how it closes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open.
    pub open_for: Duration,
    /// Calls let through at the same time while half-open; all must succeed.
    pub probes: u32,
    /// Whether there is a half-open state at all; without it everybody calls again as soon as the time is up.
    pub half_open: bool,
}

/// What the breaker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass; so many failed in a row.
    Closed {
        /// Failures in a row.
        failures: u32,
    },
    /// No call passes before this moment.
    Open {
        /// When it becomes half-open.
        until: Instant,
    },
    /// A few calls try whether the provider is back.
    HalfOpen {
        /// Calls under way.
        under_way: u32,
        /// Calls that succeeded.
        succeeded: u32,
    },
}

/// The state of one breaker.
#[derive(Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: BreakerState,
    /// Counts the changes of state, so that a call begun under an earlier state does not count in a later one.
    epoch: u64,
}

/// A granted call; it must be given back with its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the breaker waits for the result of every granted call"]
pub struct Ticket {
    epoch: u64,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            state: BreakerState::Closed { failures: 0 },
            epoch: 0,
        }
    }

    /// What it is doing.
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// Asks for leave to call.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub fn ask(&mut self, now: Instant) -> Result<Ticket, Duration> {
        if let BreakerState::Open { until } = self.state {
            if now < until {
                return Err(until - now);
            }
            self.enter(if self.policy.half_open {
                BreakerState::HalfOpen {
                    under_way: 0,
                    succeeded: 0,
                }
            } else {
                BreakerState::Closed { failures: 0 }
            });
        }
        if let BreakerState::HalfOpen {
            under_way,
            succeeded,
        } = &mut self.state
        {
            if *under_way + *succeeded >= self.policy.probes {
                return Err(self.policy.open_for / 4);
            }
            *under_way += 1;
        }
        Ok(Ticket { epoch: self.epoch })
    }

    /// The call succeeded: the provider answered, whatever the answer was.
    pub fn succeeded(&mut self, ticket: Ticket) {
        if ticket.epoch != self.epoch {
            return;
        }
        match &mut self.state {
            BreakerState::Closed { failures } => *failures = 0,
            BreakerState::HalfOpen {
                under_way,
                succeeded,
            } => {
                *under_way = under_way.saturating_sub(1);
                *succeeded += 1;
                if *succeeded >= self.policy.probes {
                    self.enter(BreakerState::Closed { failures: 0 });
                }
            }
            BreakerState::Open { .. } => {}
        }
    }

    /// The call failed: no answer, or one that says that the provider is broken.
    pub fn failed(&mut self, ticket: Ticket, now: Instant) {
        if ticket.epoch != self.epoch {
            return;
        }
        let open = match &mut self.state {
            BreakerState::Closed { failures } => {
                *failures += 1;
                *failures >= self.policy.failures
            }
            BreakerState::HalfOpen { .. } => true,
            BreakerState::Open { .. } => false,
        };
        if open {
            self.enter(BreakerState::Open {
                until: now + self.policy.open_for,
            });
        }
    }

    /// The call was given up before it had a result.
    pub fn abandoned(&mut self, ticket: Ticket) {
        if ticket.epoch != self.epoch {
            return;
        }
        if let BreakerState::HalfOpen { under_way, .. } = &mut self.state {
            *under_way = under_way.saturating_sub(1);
        }
    }

    fn enter(&mut self, state: BreakerState) {
        self.state = state;
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: BreakerPolicy = BreakerPolicy {
        failures: 3,
        open_for: Duration::from_secs(1),
        probes: 2,
        half_open: true,
    };

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(POLICY);
        for _ in 0..POLICY.failures {
            let ticket = breaker.ask(now).expect("closed");
            breaker.failed(ticket, now);
        }
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        for _ in 0..20 {
            for _ in 0..2 {
                let ticket = breaker.ask(now).expect("closed");
                breaker.failed(ticket, now);
            }
            let ticket = breaker.ask(now).expect("closed");
            breaker.succeeded(ticket);
        }
        assert_eq!(breaker.state(), BreakerState::Closed { failures: 0 });
        let mut breaker = opened(now);
        assert_eq!(breaker.ask(now), Err(POLICY.open_for));
    }

    #[test]
    fn half_open_lets_the_probes_through_and_closes_when_they_succeed() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + POLICY.open_for;
        let first = breaker.ask(later).expect("first probe");
        let second = breaker.ask(later).expect("second probe");
        assert!(breaker.ask(later).is_err());
        breaker.succeeded(first);
        assert!(breaker.ask(later).is_err());
        breaker.succeeded(second);
        assert_eq!(breaker.state(), BreakerState::Closed { failures: 0 });
    }

    #[test]
    fn half_open_opens_again_with_one_failure() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + POLICY.open_for;
        let probe = breaker.ask(later).expect("probe");
        breaker.failed(probe, later);
        assert_eq!(
            breaker.state(),
            BreakerState::Open {
                until: later + POLICY.open_for
            }
        );
    }

    #[test]
    fn without_a_half_open_state_everybody_calls_again_at_once() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerPolicy {
            half_open: false,
            ..POLICY
        });
        for _ in 0..POLICY.failures {
            let ticket = breaker.ask(now).expect("closed");
            breaker.failed(ticket, now);
        }
        let later = now + POLICY.open_for;
        assert!((0..50).all(|_| breaker.ask(later).is_ok()));
    }

    #[test]
    fn an_abandoned_probe_makes_room_for_another() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + POLICY.open_for;
        let first = breaker.ask(later).expect("first probe");
        let _second = breaker.ask(later).expect("second probe");
        breaker.abandoned(first);
        assert!(breaker.ask(later).is_ok());
    }

    #[test]
    fn a_late_result_of_an_earlier_state_does_not_count() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        let slow = breaker.ask(now).expect("closed");
        for _ in 0..POLICY.failures {
            let ticket = breaker.ask(now).expect("closed");
            breaker.failed(ticket, now);
        }
        breaker.succeeded(slow);
        assert!(matches!(breaker.state(), BreakerState::Open { .. }));
    }

    proptest! {
        /// Whatever happens: while open nobody passes, while half-open never more than the probes are under way.
        #[test]
        fn never_lets_too_many_through(steps in proptest::collection::vec((0u8..4, 0u64..700), 1..300)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(POLICY);
            let mut tickets = Vec::new();
            for (step, passed_ms) in steps {
                now += Duration::from_millis(passed_ms);
                let before = breaker.state();
                match step {
                    0 => match breaker.ask(now) {
                        Ok(ticket) => {
                            if let BreakerState::Open { until } = before {
                                prop_assert!(now >= until);
                            }
                            tickets.push(ticket);
                        }
                        Err(wait) => prop_assert!(wait > Duration::ZERO && wait <= POLICY.open_for),
                    },
                    1 => if let Some(ticket) = tickets.pop() { breaker.succeeded(ticket) },
                    2 => if let Some(ticket) = tickets.pop() { breaker.failed(ticket, now) },
                    _ => if let Some(ticket) = tickets.pop() { breaker.abandoned(ticket) },
                }
                if let BreakerState::HalfOpen { under_way, succeeded } = breaker.state() {
                    prop_assert!(under_way + succeeded <= POLICY.probes);
                }
                if let BreakerState::Closed { failures } = breaker.state() {
                    prop_assert!(failures < POLICY.failures);
                }
            }
        }
    }
}
