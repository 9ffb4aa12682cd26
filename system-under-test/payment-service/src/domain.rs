//! What is decided about a payment, and when. Pure: nothing here waits, calls or stores.
//!
//! A payment is attempted in rounds of a few attempts. A round that leaves doubt ends with a look-up at the provider; a
//! payment that was certainly not made is attempted again. Nothing is given up: only a definite answer settles it.

use std::time::Duration;

use uuid::Uuid;

/// What is wanted of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Take the customer's money.
    Charge,
    /// Give it back.
    Refund,
}

impl Kind {
    /// The word in the database, in keys and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Charge => "charge",
            Kind::Refund => "refund",
        }
    }
}

/// The idempotency key of a payment: the same for every attempt of one order, another for every other order.
pub fn provider_key(order_id: Uuid, kind: Kind) -> String {
    format!("{order_id}:{}", kind.as_str())
}

/// State of a payment's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Being worked on; nothing is known yet.
    Pending,
    /// An attempt's outcome is not known; the provider must be asked.
    Unknown,
    /// Booked by the provider.
    Succeeded,
    /// Certainly not booked, and never will be.
    Declined,
}

impl State {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Unknown => "unknown",
            State::Succeeded => "succeeded",
            State::Declined => "declined",
        }
    }
}

/// What one attempt at the provider showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempted {
    /// Booked, now or by an earlier attempt with the same key.
    Booked {
        /// The provider's name for it.
        provider_id: String,
    },
    /// A definite no: it was not booked and repeating does not help.
    Declined {
        /// Why, in words.
        reason: String,
    },
    /// Certainly not booked this time; a later attempt may succeed.
    NotBooked {
        /// Why, in words.
        why: String,
        /// When the provider wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Certainly not booked: the provider no longer speaks our version. Somebody must see to it.
    Retired {
        /// Why, in words.
        why: String,
    },
    /// It may have been booked.
    Unknown {
        /// Why, in words.
        why: String,
    },
}

/// What a look-up by key showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookedUp {
    /// It was booked.
    Found {
        /// The provider's name for it.
        provider_id: String,
    },
    /// Nothing was booked under this key.
    NotFound,
    /// The provider did not answer.
    Unanswered {
        /// Why, in words.
        why: String,
    },
}

/// How persistent a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// Attempts before a round ends; 1 when the defence `payment.retry` is off.
    pub attempts_per_round: u32,
    /// Whether a payment that was certainly not made is attempted again after a round.
    pub retry: bool,
    /// Whether doubt is resolved by asking the provider; otherwise it is taken for a no.
    pub reconcile: bool,
}

/// How a payment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Booked under the provider's name.
    Succeeded {
        /// The provider's name for it.
        provider_id: String,
    },
    /// Not booked.
    Declined {
        /// Why, in words.
        reason: String,
    },
}

impl Settled {
    /// The state that is recorded.
    pub fn state(&self) -> State {
        match self {
            Settled::Succeeded { .. } => State::Succeeded,
            Settled::Declined { .. } => State::Declined,
        }
    }
}

/// What to do next about a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It is decided.
    Settle(Settled),
    /// Attempt it again, after a back-off of at least the given time.
    Attempt(Duration),
    /// Ask the provider whether it was booked, after a back-off.
    LookUp,
}

/// How far a payment has come since its command was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    persistence: Persistence,
    in_round: u32,
    doubtful: bool,
    failures: u32,
}

impl Progress {
    /// Nothing attempted yet, or in doubt since an earlier life.
    pub fn new(persistence: Persistence, in_doubt: bool) -> Self {
        Self {
            persistence,
            in_round: 0,
            doubtful: in_doubt,
            failures: 0,
        }
    }

    /// What to do first: a payment in doubt is looked up, another one attempted.
    pub fn first(&self) -> Next {
        if self.doubtful && self.persistence.reconcile {
            Next::LookUp
        } else {
            Next::Attempt(Duration::ZERO)
        }
    }

    /// Steps that failed in a row: attempts and look-ups without a definite result. Drives the back-off.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether an attempt may have been booked without our knowing.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Takes the result of an attempt and decides.
    pub fn attempted(&mut self, result: Attempted) -> Next {
        let (why, wait) = match result {
            Attempted::Booked { provider_id } => {
                return Next::Settle(Settled::Succeeded { provider_id });
            }
            Attempted::Declined { reason } => return Next::Settle(Settled::Declined { reason }),
            Attempted::NotBooked { why, retry_after } => (why, retry_after.unwrap_or_default()),
            Attempted::Retired { why } => (why, Duration::ZERO),
            Attempted::Unknown { why } => {
                self.doubtful = true;
                (why, Duration::ZERO)
            }
        };
        self.failures = self.failures.saturating_add(1);
        self.in_round += 1;
        if self.in_round < self.persistence.attempts_per_round {
            return Next::Attempt(wait);
        }
        self.in_round = 0;
        if !self.doubtful {
            self.again_or_decline(wait, why)
        } else if self.persistence.reconcile {
            Next::LookUp
        } else {
            Next::Settle(Settled::Declined {
                reason: format!("outcome unknown: {why}"),
            })
        }
    }

    /// Takes the result of a look-up and decides.
    pub fn looked_up(&mut self, result: LookedUp) -> Next {
        match result {
            LookedUp::Found { provider_id } => Next::Settle(Settled::Succeeded { provider_id }),
            LookedUp::NotFound => {
                self.doubtful = false;
                self.again_or_decline(Duration::ZERO, "not booked by the provider".to_owned())
            }
            LookedUp::Unanswered { .. } => {
                self.failures = self.failures.saturating_add(1);
                Next::LookUp
            }
        }
    }

    fn again_or_decline(&self, wait: Duration, why: String) -> Next {
        if self.persistence.retry {
            Next::Attempt(wait)
        } else {
            Next::Settle(Settled::Declined {
                reason: format!("not attempted again: {why}"),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: Persistence = Persistence {
        attempts_per_round: 3,
        retry: true,
        reconcile: true,
    };

    fn unknown() -> Attempted {
        Attempted::Unknown {
            why: "cut".to_owned(),
        }
    }

    fn not_booked() -> Attempted {
        Attempted::NotBooked {
            why: "refused".to_owned(),
            retry_after: None,
        }
    }

    fn booked() -> Attempted {
        Attempted::Booked {
            provider_id: "c-1".to_owned(),
        }
    }

    #[test]
    fn an_order_has_one_key_for_each_kind() {
        let order = Uuid::from_u128(1);
        assert_eq!(provider_key(order, Kind::Charge), format!("{order}:charge"));
        assert_ne!(
            provider_key(order, Kind::Charge),
            provider_key(order, Kind::Refund)
        );
    }

    #[test]
    fn a_definite_answer_settles_at_once() {
        let settled = Progress::new(FULL, false).attempted(booked());
        assert!(matches!(settled, Next::Settle(Settled::Succeeded { .. })));
        let declined = Attempted::Declined {
            reason: "card".to_owned(),
        };
        assert!(matches!(
            Progress::new(FULL, false).attempted(declined),
            Next::Settle(Settled::Declined { .. })
        ));
    }

    #[test]
    fn doubt_is_looked_up_after_a_round() {
        let mut progress = Progress::new(FULL, false);
        assert_eq!(progress.attempted(unknown()), Next::Attempt(Duration::ZERO));
        assert_eq!(
            progress.attempted(not_booked()),
            Next::Attempt(Duration::ZERO)
        );
        assert_eq!(progress.attempted(not_booked()), Next::LookUp);
        let unanswered = LookedUp::Unanswered {
            why: "down".to_owned(),
        };
        assert_eq!(progress.looked_up(unanswered), Next::LookUp);
        assert_eq!(
            progress.looked_up(LookedUp::NotFound),
            Next::Attempt(Duration::ZERO)
        );
        assert!(!progress.is_doubtful());
    }

    #[test]
    fn what_was_certainly_not_booked_is_attempted_again_without_a_look_up() {
        let mut progress = Progress::new(FULL, false);
        for _ in 0..50 {
            assert_eq!(
                progress.attempted(not_booked()),
                Next::Attempt(Duration::ZERO)
            );
        }
        assert_eq!(progress.failures(), 50);
    }

    #[test]
    fn a_provider_that_no_longer_speaks_our_version_is_waited_for() {
        let mut progress = Progress::new(FULL, false);
        for _ in 0..20 {
            let retired = Attempted::Retired {
                why: "gone".to_owned(),
            };
            assert_eq!(progress.attempted(retired), Next::Attempt(Duration::ZERO));
        }
        assert!(!progress.is_doubtful());
    }

    #[test]
    fn doubt_of_an_earlier_life_is_looked_up_first() {
        assert_eq!(Progress::new(FULL, true).first(), Next::LookUp);
        assert_eq!(
            Progress::new(FULL, false).first(),
            Next::Attempt(Duration::ZERO)
        );
        let blind = Persistence {
            reconcile: false,
            ..FULL
        };
        assert_eq!(
            Progress::new(blind, true).first(),
            Next::Attempt(Duration::ZERO)
        );
    }

    #[test]
    fn the_providers_own_wait_is_kept() {
        let wait = Duration::from_secs(7);
        let limited = Attempted::NotBooked {
            why: "429".to_owned(),
            retry_after: Some(wait),
        };
        assert_eq!(
            Progress::new(FULL, false).attempted(limited),
            Next::Attempt(wait)
        );
    }

    #[test]
    fn without_reconciliation_doubt_is_taken_for_a_no() {
        let mut progress = Progress::new(
            Persistence {
                reconcile: false,
                ..FULL
            },
            false,
        );
        progress.attempted(unknown());
        progress.attempted(unknown());
        assert!(matches!(
            progress.attempted(unknown()),
            Next::Settle(Settled::Declined { reason }) if reason.contains("cut")
        ));
    }

    #[test]
    fn without_retries_one_attempt_decides_but_doubt_is_still_looked_up() {
        let once = Persistence {
            attempts_per_round: 1,
            retry: false,
            reconcile: true,
        };
        assert!(matches!(
            Progress::new(once, false).attempted(not_booked()),
            Next::Settle(Settled::Declined { .. })
        ));
        let mut progress = Progress::new(once, false);
        assert_eq!(progress.attempted(unknown()), Next::LookUp);
        let found = LookedUp::Found {
            provider_id: "c-1".to_owned(),
        };
        assert!(matches!(
            progress.looked_up(found),
            Next::Settle(Settled::Succeeded { .. })
        ));
    }

    fn any_attempt() -> impl Strategy<Value = Attempted> {
        prop_oneof![Just(unknown()), Just(not_booked()), Just(booked())]
    }

    proptest! {
        /// With every defence on, only a definite answer settles a payment, and never as a decline of a doubtful one.
        #[test]
        fn nothing_doubtful_is_ever_declined(
            attempts in proptest::collection::vec(any_attempt(), 1..60),
            found in proptest::collection::vec(any::<bool>(), 60),
        ) {
            let mut progress = Progress::new(FULL, false);
            let mut look_ups = found.into_iter();
            for attempt in attempts {
                let definite = attempt == booked();
                let mut next = progress.attempted(attempt);
                while next == Next::LookUp {
                    let result = match look_ups.next() {
                        Some(true) => LookedUp::Found { provider_id: "c-1".to_owned() },
                        Some(false) => LookedUp::Unanswered { why: "down".to_owned() },
                        None => LookedUp::NotFound,
                    };
                    next = progress.looked_up(result);
                }
                match next {
                    Next::Settle(settled) => {
                        prop_assert_eq!(settled.state(), State::Succeeded);
                        return Ok(());
                    }
                    _ => prop_assert!(!definite),
                }
            }
        }
    }
}
