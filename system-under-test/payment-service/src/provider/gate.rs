//! What every call to the provider must pass first: retry budget, the provider's own wish to be left alone, rate limit, slow
//! start, controlled drain, concurrency limit, circuit breaker. Each waits; none gives a payment up.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use service_kit::defences::Defences;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::retry::budget::{Budget, TpsBudget};

use super::breaker::{Breaker, BreakerPolicy, BreakerState, Ticket};
use super::drain::{Drain, DrainLimits};
use super::slow_start::SlowStart;
use crate::defences::Protection;

/// How long to wait for the retry budget before asking it again.
const BUDGET_POLL: Duration = Duration::from_millis(50);

/// The bounds of all calls of this instance together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateLimits {
    /// Calls in a second.
    pub rate_per_s: NonZeroU32,
    /// How long the rate of calls grows after the first one until it is the full rate.
    pub slow_start: Duration,
    /// When and how fast a backlog is let out.
    pub drain: DrainLimits,
    /// Calls under way at the same time.
    pub concurrency: usize,
    /// When the circuit opens and closes.
    pub breaker: BreakerPolicy,
    /// Repetitions in percent of the first attempts.
    pub retry_percent: u8,
    /// Repetitions in a second that are allowed whatever the share.
    pub retry_min_per_s: u32,
    /// How long a first attempt counts for the budget; 1 to 60 seconds.
    pub retry_window: Duration,
}

/// The gate in front of the provider. A limit whose defence is off is absent.
pub struct Gate {
    budget: Option<TpsBudget>,
    rate: Option<DefaultDirectRateLimiter>,
    slow_start: Option<Mutex<SlowStart>>,
    drain: Option<Mutex<Drain>>,
    slots: Option<Arc<Semaphore>>,
    breaker: Option<Arc<Mutex<Breaker>>>,
    quiet_until: Mutex<Option<Instant>>,
}

/// What kind of call wants to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// The first attempt of a payment.
    First,
    /// A repetition, or a look-up after one.
    Repeated,
}

/// Leave to call once; says how the call went, and frees its place.
#[must_use = "the breaker waits for the result of every call"]
pub struct Pass {
    breaker: Option<(Arc<Mutex<Breaker>>, Ticket)>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Gate {
    /// A gate with the limits whose defences are on.
    pub fn new(limits: GateLimits, defences: &Defences<Protection>) -> Self {
        let breaker = BreakerPolicy {
            half_open: defences.on(Protection::HalfOpen),
            ..limits.breaker
        };
        let budget = || {
            let share = f32::from(limits.retry_percent) / 100.0;
            TpsBudget::new(limits.retry_window, limits.retry_min_per_s, share)
        };
        Self {
            budget: defences.on(Protection::RetryBudget).then(budget),
            rate: defences
                .on(Protection::RateLimit)
                .then(|| RateLimiter::direct(Quota::per_second(limits.rate_per_s))),
            slow_start: defences
                .on(Protection::SlowStart)
                .then(|| Mutex::new(SlowStart::new(limits.slow_start, limits.rate_per_s))),
            drain: defences
                .on(Protection::DrainControl)
                .then(|| Mutex::new(Drain::new(limits.drain))),
            slots: defences
                .on(Protection::ConcurrencyLimit)
                .then(|| Arc::new(Semaphore::new(limits.concurrency))),
            breaker: defences
                .on(Protection::CircuitBreaker)
                .then(|| Arc::new(Mutex::new(Breaker::new(breaker)))),
            quiet_until: Mutex::new(None),
        }
    }

    /// Waits until a call may be made. Giving up the wait (dropping the future) leaves nothing behind.
    pub async fn pass(&self, call: Call) -> Pass {
        self.spend(call).await;
        if let Some(rate) = &self.rate {
            self.keep_quiet().await;
            rate.until_ready().await;
        }
        if let Some(slow_start) = &self.slow_start {
            granted(|now| lock(slow_start).ask(now)).await;
        }
        if let Some(drain) = &self.drain {
            granted(|now| lock(drain).ask(now)).await;
        }
        let slot = match &self.slots {
            // The semaphore is never closed.
            Some(slots) => slots.clone().acquire_owned().await.ok(),
            None => None,
        };
        let breaker = match &self.breaker {
            Some(breaker) => Some((breaker.clone(), closed(breaker).await)),
            None => None,
        };
        Pass {
            breaker,
            _slot: slot,
        }
    }

    /// The provider wants to be left alone for a while: no call of this instance passes before.
    pub fn quiet_for(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut quiet = lock(&self.quiet_until);
        if quiet.is_none_or(|earlier| earlier < until) {
            *quiet = Some(until);
        }
    }

    /// So many messages are behind this instance, which has this share of the queue, from 0 to 1.
    pub fn note_backlog(&self, messages: u64, share: f64) {
        if let Some(drain) = &self.drain {
            lock(drain).note(messages, share);
        }
    }

    /// What the circuit is doing; closed when there is none.
    pub fn circuit(&self) -> BreakerState {
        self.breaker
            .as_ref()
            .map_or(BreakerState::Closed { failures: 0 }, |breaker| {
                lock(breaker).state()
            })
    }

    async fn spend(&self, call: Call) {
        let Some(budget) = &self.budget else {
            return;
        };
        match call {
            Call::First => budget.deposit(),
            Call::Repeated => {
                while !budget.withdraw() {
                    tokio::time::sleep(BUDGET_POLL).await;
                }
            }
        }
    }

    async fn keep_quiet(&self) {
        loop {
            let until = *lock(&self.quiet_until);
            match until {
                Some(until) if until > Instant::now() => {
                    tokio::time::sleep_until(until.into()).await;
                }
                _ => return,
            }
        }
    }
}

/// Waits until somebody who is asked lets a call through.
async fn granted(mut ask: impl FnMut(Instant) -> Result<(), Duration>) {
    while let Err(wait) = ask(Instant::now()) {
        tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
    }
}

/// Waits until the circuit lets a call through.
async fn closed(breaker: &Mutex<Breaker>) -> Ticket {
    loop {
        let asked = lock(breaker).ask(Instant::now());
        match asked {
            Ok(ticket) => return ticket,
            Err(wait) => tokio::time::sleep(wait.max(Duration::from_millis(1))).await,
        }
    }
}

impl Pass {
    /// The provider answered as one that works, whatever the answer was.
    pub fn answered(mut self) {
        if let Some((breaker, ticket)) = self.breaker.take() {
            lock(&breaker).succeeded(ticket);
        }
    }

    /// The provider did not answer, or as one that is broken.
    pub fn failed(mut self) {
        if let Some((breaker, ticket)) = self.breaker.take() {
            lock(&breaker).failed(ticket, Instant::now());
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some((breaker, ticket)) = self.breaker.take() {
            lock(&breaker).abandoned(ticket);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> GateLimits {
        GateLimits {
            rate_per_s: NonZeroU32::new(1_000).expect("positive"),
            slow_start: Duration::from_millis(1),
            drain: DrainLimits {
                backlog: 10,
                rate_per_s: NonZeroU32::new(1).expect("positive"),
            },
            concurrency: 2,
            breaker: BreakerPolicy {
                failures: 3,
                open_for: Duration::from_millis(500),
                probes: 1,
                half_open: true,
            },
            retry_percent: 20,
            retry_min_per_s: 1,
            retry_window: Duration::from_secs(1),
        }
    }

    async fn passes_at_once(gate: &Gate, call: Call) -> Option<Pass> {
        tokio::time::timeout(Duration::from_millis(30), gate.pass(call))
            .await
            .ok()
    }

    #[tokio::test]
    async fn calls_under_way_are_bounded() {
        let gate = Gate::new(limits(), &Defences::all());
        let first = gate.pass(Call::First).await;
        let _second = gate.pass(Call::First).await;
        assert!(passes_at_once(&gate, Call::First).await.is_none());
        first.answered();
        assert!(passes_at_once(&gate, Call::First).await.is_some());
    }

    #[tokio::test]
    async fn the_circuit_opens_and_a_probe_closes_it() {
        let gate = Gate::new(limits(), &Defences::all());
        for _ in 0..3 {
            gate.pass(Call::First).await.failed();
        }
        assert!(matches!(gate.circuit(), BreakerState::Open { .. }));
        assert!(passes_at_once(&gate, Call::First).await.is_none());
        gate.pass(Call::First).await.answered();
        assert!(matches!(gate.circuit(), BreakerState::Closed { .. }));
    }

    #[tokio::test]
    async fn after_the_start_calls_come_ever_faster() {
        let slow = GateLimits {
            slow_start: Duration::from_secs(3_600),
            ..limits()
        };
        let gate = Gate::new(slow, &Defences::all());
        gate.pass(Call::First).await.answered();
        assert!(passes_at_once(&gate, Call::First).await.is_none());
        let fast = Gate::new(slow, &Defences::without([Protection::SlowStart]));
        for _ in 0..50 {
            fast.pass(Call::First).await.answered();
        }
    }

    #[tokio::test]
    async fn a_backlog_is_let_out_evenly() {
        let gate = Gate::new(limits(), &Defences::all());
        gate.note_backlog(11, 1.0);
        gate.pass(Call::First).await.answered();
        assert!(passes_at_once(&gate, Call::First).await.is_none());
        gate.note_backlog(10, 1.0);
        assert!(passes_at_once(&gate, Call::First).await.is_some());
    }

    #[tokio::test]
    async fn repetitions_are_a_bounded_share() {
        let gate = Gate::new(limits(), &Defences::all());
        for _ in 0..10 {
            gate.pass(Call::First).await.answered();
        }
        // Ten first attempts allow two repetitions, and one in every second is allowed anyhow.
        let mut repeated = 0;
        while let Some(pass) = passes_at_once(&gate, Call::Repeated).await {
            pass.answered();
            repeated += 1;
        }
        assert!((2..=4).contains(&repeated), "{repeated}");
    }

    #[tokio::test]
    async fn the_providers_wish_to_be_left_alone_is_kept_by_all_calls() {
        let gate = Gate::new(limits(), &Defences::all());
        gate.quiet_for(Duration::from_millis(500));
        assert!(passes_at_once(&gate, Call::First).await.is_none());
        gate.pass(Call::First).await.answered();
    }

    #[tokio::test]
    async fn without_its_defences_the_gate_stands_open() {
        let off = [
            Protection::RetryBudget,
            Protection::RateLimit,
            Protection::SlowStart,
            Protection::DrainControl,
            Protection::ConcurrencyLimit,
            Protection::CircuitBreaker,
        ];
        let gate = Gate::new(limits(), &Defences::without(off));
        gate.quiet_for(Duration::from_secs(60));
        let mut held = Vec::new();
        for _ in 0..50 {
            held.push(passes_at_once(&gate, Call::Repeated).await.expect("open"));
        }
    }
}
