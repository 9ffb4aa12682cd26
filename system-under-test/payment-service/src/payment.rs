//! Makes one payment: attempts, waits, look-ups, until the provider's answer is definite.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use service_kit::defences::Defences;
use service_kit::metrics::{Counters, Gauge, Metrics};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::defences::Protection;
use crate::domain::{Attempted, Kind, LookedUp, Next, Persistence, Progress, Settled};
use crate::provider::backoff::Backoff;
use crate::provider::client::{Order, ProviderClient};
use crate::provider::gate::{Call, Gate, Pass};

/// How a payment is pursued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pursuit {
    /// Attempts before doubt is cleared up; 1 when retries are off.
    pub attempts_per_round: u32,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// Seed of the jitter.
    pub seed: u64,
}

/// Everything that is needed to make payments; shared by all workers of an instance.
pub struct Payments {
    client: ProviderClient,
    gate: Arc<Gate>,
    backoff: Backoff,
    persistence: Persistence,
    send_key: bool,
    /// Whether the provider's wish to be left alone is kept.
    keeps_quiet: bool,
    rng: Mutex<ChaCha8Rng>,
    metrics: PaymentMetrics,
}

/// A payment that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What is asked of the provider.
    pub order: &'a Order,
    /// The idempotency key of all attempts.
    pub key: &'a str,
    /// Whether an earlier attempt may have been booked.
    pub in_doubt: bool,
}

/// How far the pursuit of a payment came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pursued {
    /// How it ended; `None` when it was stopped before a definite end.
    pub settled: Option<Settled>,
    /// Whether an attempt may have been booked without our knowing.
    pub doubtful: bool,
    /// Attempts since the start, or since `doubt` was told last.
    pub attempts: i32,
}

impl Payments {
    /// Payments through a client and a gate, as persistent as the defences allow.
    pub fn new(
        client: ProviderClient,
        gate: Gate,
        pursuit: Pursuit,
        defences: &Defences<Protection>,
        metrics: &Metrics,
    ) -> Self {
        let retry = defences.on(Protection::Retry);
        let backoff = if defences.on(Protection::Backoff) {
            Backoff {
                jitter: defences.on(Protection::Jitter),
                ..pursuit.backoff
            }
        } else {
            Backoff::NONE
        };
        Self {
            client,
            gate: Arc::new(gate),
            backoff,
            persistence: Persistence {
                attempts_per_round: if retry { pursuit.attempts_per_round } else { 1 },
                retry,
                reconcile: defences.on(Protection::Reconcile),
            },
            send_key: defences.on(Protection::IdempotencyKey),
            keeps_quiet: defences.on(Protection::RateLimit),
            rng: Mutex::new(ChaCha8Rng::seed_from_u64(pursuit.seed)),
            metrics: PaymentMetrics::new(metrics),
        }
    }

    /// The gate, for those who watch it and tell it of the backlog.
    pub fn gate(&self) -> Arc<Gate> {
        self.gate.clone()
    }

    /// Pursues a payment until it has a definite end or `stop` is cancelled; an attempt that is under way then is
    /// finished first. A payment in doubt begins with a look-up. Before each look-up `doubt` is told how many attempts
    /// were made since it was last told.
    pub async fn pursue<D>(
        &self,
        payment: &Wanted<'_>,
        stop: &CancellationToken,
        doubt: impl Fn(i32) -> D,
    ) -> Pursued
    where
        D: Future<Output = ()>,
    {
        let mut progress = Progress::new(self.persistence, payment.in_doubt);
        let mut next = progress.first();
        let mut call = Call::First;
        let mut attempts = 0;
        loop {
            let undecided = |progress: &Progress| Pursued {
                settled: None,
                doubtful: progress.is_doubtful(),
                attempts,
            };
            next = match next {
                Next::Settle(settled) => {
                    return Pursued {
                        settled: Some(settled),
                        doubtful: false,
                        attempts,
                    };
                }
                Next::Attempt(at_least) => {
                    let Some(pass) = self.admit(progress.failures(), at_least, call, stop).await
                    else {
                        return undecided(&progress);
                    };
                    let result = self.attempt(payment, pass).await;
                    attempts += 1;
                    call = Call::Repeated;
                    progress.attempted(result)
                }
                Next::LookUp => {
                    if attempts > 0 {
                        doubt(attempts).await;
                        attempts = 0;
                    }
                    call = Call::Repeated;
                    let wait = Duration::ZERO;
                    let Some(pass) = self.admit(progress.failures(), wait, call, stop).await else {
                        return Pursued {
                            settled: None,
                            doubtful: true,
                            attempts,
                        };
                    };
                    progress.looked_up(self.look_up(payment, pass).await)
                }
            };
        }
    }

    /// Waits out the back-off, then for the gate; `None` when `stop` was cancelled meanwhile.
    async fn admit(
        &self,
        failures: u32,
        at_least: Duration,
        call: Call,
        stop: &CancellationToken,
    ) -> Option<Pass> {
        let wait = if failures == 0 {
            Duration::ZERO
        } else {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            self.backoff.wait(failures, &mut *rng).max(at_least)
        };
        let admission = async {
            tokio::time::sleep(wait).await;
            self.gate.pass(call).await
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            pass = admission => Some(pass),
        }
    }

    async fn attempt(&self, payment: &Wanted<'_>, pass: Pass) -> Attempted {
        let key = payment.key;
        let result = self
            .client
            .attempt(payment.order, self.send_key.then_some(key))
            .await;
        let result = if self.keeps_quiet {
            result
        } else {
            deaf(result)
        };
        let word = match &result {
            Attempted::Booked { .. } => {
                pass.answered();
                "booked"
            }
            Attempted::Declined { reason } => {
                info!(key, reason, "declined");
                pass.answered();
                "declined"
            }
            Attempted::NotBooked {
                why,
                retry_after: Some(wait),
            } => {
                warn!(key, why, "the provider wants to be left alone");
                self.gate.quiet_for(*wait);
                pass.answered();
                "limited"
            }
            Attempted::NotBooked {
                why,
                retry_after: None,
            } => {
                warn!(key, why, "not booked");
                pass.failed();
                "not_booked"
            }
            Attempted::Retired { why } => {
                error!(key, why, "the provider has retired our version of its API");
                pass.failed();
                "retired"
            }
            Attempted::Unknown { why } => {
                warn!(key, why, "outcome unknown");
                pass.failed();
                "unknown"
            }
        };
        self.metrics.count(payment.order.kind(), word);
        self.metrics
            .retired(matches!(result, Attempted::Retired { .. }));
        result
    }

    async fn look_up(&self, payment: &Wanted<'_>, pass: Pass) -> LookedUp {
        let key = payment.key;
        let result = self.client.look_up(payment.order.kind(), key).await;
        let word = match &result {
            LookedUp::Found { provider_id } => {
                info!(key, provider_id, "looked up: it was booked");
                pass.answered();
                "found"
            }
            LookedUp::NotFound => {
                info!(key, "looked up: it was not booked");
                pass.answered();
                "not_found"
            }
            LookedUp::Unanswered { why } => {
                warn!(key, why, "the look-up was not answered");
                pass.failed();
                "unanswered"
            }
        };
        self.metrics.count(payment.order.kind(), word);
        result
    }
}

/// What an attempt showed to somebody who does not hear that the provider wants to be left alone.
fn deaf(result: Attempted) -> Attempted {
    match result {
        Attempted::NotBooked {
            why,
            retry_after: Some(_),
        } => Attempted::NotBooked {
            why,
            retry_after: Some(Duration::ZERO),
        },
        other => other,
    }
}

/// What the provider showed, counted.
struct PaymentMetrics {
    asked: Counters,
    retired: Gauge,
}

impl PaymentMetrics {
    fn new(metrics: &Metrics) -> Self {
        let help = "Attempts and look-ups at the provider, by kind and result";
        Self {
            asked: metrics.counters("provider_calls", help),
            retired: metrics.gauge(
                "provider_version_retired",
                "1 while the provider refuses our version of its API",
            ),
        }
    }

    fn retired(&self, retired: bool) {
        self.retired.set(i64::from(retired));
    }

    fn count(&self, kind: Kind, result: &'static str) {
        let labels = vec![
            ("kind", kind.as_str().to_owned()),
            ("result", result.to_owned()),
        ];
        self.asked.get_or_create(&labels).inc();
    }
}
