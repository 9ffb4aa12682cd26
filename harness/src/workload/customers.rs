//! The running load: draws intents, paces them, carries them out and hands every attempt to a journal.
//!
//! - `following`: what a customer does about an order that was accepted

mod following;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use firedrill_oracle::record::{Operation, Outcome, Record};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    client::Client,
    generator::{Generator, Intent},
    habits::Habits,
    identity::{FLAWS, Identity},
    outcome::{self, Seen, ShownOrder},
    pace::{OPEN_LOOP_LIMIT, Pace},
};

/// What the customers have done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CustomersReport {
    /// Attempts whose outcome is known to the customer (even as unknown).
    pub attempted: u64,
    /// Attempts that were answered with an accepted order.
    pub accepted: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Attempts with an unknown outcome.
    pub unknown: u64,
    /// Starts of an open loop that had to wait because too many were under way.
    pub held_back: u64,
}

/// Takes what customers did and saw as soon as it is known; must not block for long.
pub type JournalSink = Arc<dyn Fn(Record) + Send + Sync>;

#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    held_back: AtomicU64,
}

struct Shop {
    client: Client,
    identity: Option<Arc<Identity>>,
    forgeries: AtomicUsize,
    sink: JournalSink,
    clock: Instant,
    counters: Counters,
    attempted: watch::Sender<u64>,
    habits: Habits,
    /// Everybody is to go home.
    stop: CancellationToken,
    /// Nobody waits any longer for what is under way.
    abandon: CancellationToken,
}

/// Customers at work. Dropping them abandons every attempt at once.
pub struct Customers {
    shop: Arc<Shop>,
    work: tokio::task::JoinHandle<()>,
}

impl Drop for Customers {
    fn drop(&mut self) {
        self.shop.stop.cancel();
        self.shop.abandon.cancel();
    }
}

impl Customers {
    /// Lets customers come. `clock` is the moment the drill began; times in the journal count from there. Without an
    /// `identity` nobody sends a token.
    pub fn start(
        client: Client,
        identity: Option<Arc<Identity>>,
        generator: Generator,
        pace: Pace,
        habits: Habits,
        clock: Instant,
        sink: JournalSink,
    ) -> Self {
        let shop = Shop::open(client, identity, habits, clock, sink);
        let work = tokio::spawn(run(shop.clone(), generator, pace));
        Self { shop, work }
    }

    /// Lets these customers come at the same moment, each once; they have got their tokens before.
    pub fn start_at_once(
        client: Client,
        identity: Option<Arc<Identity>>,
        intents: Vec<Intent>,
        habits: Habits,
        clock: Instant,
        sink: JournalSink,
    ) -> Self {
        let shop = Shop::open(client, identity, habits, clock, sink);
        let rushing = shop.clone();
        let work = tokio::spawn(async move {
            let passes = intents.iter().map(|intent| rushing.pass(&intent.customer));
            // Whoever has got none asks again when its turn comes, and is refused if there is still none.
            let _kept = futures::future::join_all(passes).await;
            let mut under_way: JoinSet<()> = intents
                .into_iter()
                .map(|intent| carry_out(rushing.clone(), intent))
                .collect();
            while under_way.join_next().await.is_some() {}
        });
        Self { shop, work }
    }

    /// What has happened so far.
    pub fn report(&self) -> CustomersReport {
        let counters = &self.shop.counters;
        CustomersReport {
            attempted: *self.shop.attempted.borrow(),
            accepted: counters.accepted.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            unknown: counters.unknown.load(Ordering::Relaxed),
            held_back: counters.held_back.load(Ordering::Relaxed),
        }
    }

    /// Waits until so many attempts have been made in all, or the customers were stopped.
    pub async fn wait_for_attempts(&self, count: u64) {
        let mut attempted = self.shop.attempted.subscribe();
        tokio::select! {
            _ = attempted.wait_for(|so_far| *so_far >= count) => {}
            () = self.shop.stop.cancelled() => {}
        }
    }

    /// Nobody new comes and nobody looks any more; those under way get their outcome. After `within` the rest is abandoned (outcome unknown).
    pub async fn stop(&mut self, within: Duration) -> CustomersReport {
        self.shop.stop.cancel();
        if tokio::time::timeout(within, &mut self.work).await.is_err() {
            self.shop.abandon.cancel();
            let _ = (&mut self.work).await;
        }
        self.report()
    }
}

impl Shop {
    fn open(
        client: Client,
        identity: Option<Arc<Identity>>,
        habits: Habits,
        clock: Instant,
        sink: JournalSink,
    ) -> Arc<Self> {
        let client = match habits.new {
            true => client.for_newcomers(),
            false => client,
        };
        Arc::new(Self {
            client,
            identity,
            forgeries: AtomicUsize::new(0),
            sink,
            clock,
            counters: Counters::default(),
            attempted: watch::Sender::new(0),
            habits,
            stop: CancellationToken::new(),
            abandon: CancellationToken::new(),
        })
    }
}

async fn run(shop: Arc<Shop>, generator: Generator, pace: Pace) {
    let habits = shop.habits;
    let generator = Mutex::new(generator);
    let draw = Arc::new(move || {
        let mut generator = generator
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        generator.next_intent(habits.with_key, habits.most_lines)
    });
    let mut under_way = JoinSet::new();
    match pace {
        Pace::PerSecond(_) => open_loop(&shop, &*draw, pace, &mut under_way).await,
        Pace::Concurrent(customers) => {
            for _ in 0..customers {
                let (shop, draw) = (shop.clone(), draw.clone());
                under_way.spawn(async move {
                    while !shop.stop.is_cancelled() {
                        carry_out(shop.clone(), draw()).await;
                    }
                });
            }
        }
    }
    while under_way.join_next().await.is_some() {}
}

async fn open_loop(
    shop: &Arc<Shop>,
    draw: &(impl Fn() -> Intent + Sync),
    pace: Pace,
    under_way: &mut JoinSet<()>,
) {
    let places = Arc::new(Semaphore::new(OPEN_LOOP_LIMIT));
    let start = Instant::now();
    for index in 0.. {
        let Some(due) = pace.due(index) else { return };
        tokio::select! {
            () = tokio::time::sleep_until(start + due) => {}
            () = shop.stop.cancelled() => return,
        }
        while under_way.try_join_next().is_some() {}
        if places.available_permits() == 0 {
            shop.counters.held_back.fetch_add(1, Ordering::Relaxed);
        }
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = shop.stop.cancelled() => return,
        };
        let attempt = carry_out(shop.clone(), draw());
        under_way.spawn(async move {
            attempt.await;
            drop(place);
        });
    }
}

/// An attempt that is over.
struct Attempted {
    outcome: Outcome,
    /// Whether it was the token that was refused.
    token_refused: bool,
    /// How the answer shows the order.
    shown: Option<ShownOrder>,
    started_us: u64,
    ended_us: u64,
}

/// What a customer comes with.
struct Pass {
    /// None where no token is needed.
    token: Option<String>,
    /// What is wrong with it, if it is forged.
    flaw: Option<&'static str>,
}

impl Shop {
    /// Gets what the customer comes with; no part of the attempt. The reason when there is nothing to come with.
    async fn pass(&self, customer: &str) -> Result<Pass, String> {
        let Some(identity) = &self.identity else {
            return Ok(Pass {
                token: None,
                flaw: None,
            });
        };
        let flaw = self.habits.forged.then(|| {
            let turn = self.forgeries.fetch_add(1, Ordering::Relaxed);
            FLAWS[turn % FLAWS.len()]
        });
        let token = match flaw {
            Some(flaw) => identity.forged(customer, flaw).await,
            None => identity.token(customer).await,
        };
        token.map(|token| Pass {
            token: Some(token),
            flaw,
        })
    }

    /// One attempt and what came of it.
    async fn attempt(&self, intent: &Intent, pass: &Result<Pass, String>) -> Attempted {
        let started_us = micros(self.clock);
        let (outcome, token_refused, shown) = tokio::select! {
            sent = self.send(intent, pass) => sent,
            () = self.abandon.cancelled() => {
                let reason = "the customer gave up".into();
                (Outcome::Unknown { reason }, false, None)
            }
        };
        Attempted {
            outcome,
            token_refused,
            shown,
            started_us,
            ended_us: micros(self.clock),
        }
    }

    async fn send(
        &self,
        intent: &Intent,
        pass: &Result<Pass, String>,
    ) -> (Outcome, bool, Option<ShownOrder>) {
        let pass = match pass {
            Ok(pass) => pass,
            Err(reason) => {
                let reason = format!("no token: {reason}");
                return (outcome::decide(Seen::NotSent { reason }), false, None);
            }
        };
        let (seen, shown) = self
            .client
            .place_order(intent, self.habits.note_characters, pass.token.as_deref())
            .await;
        let refused = matches!(seen, Seen::Answer { status: 401, .. }) && pass.flaw.is_none();
        if refused {
            self.forget(&intent.customer, pass);
        }
        let token_refused = refused && pass.token.is_some();
        (outcome::decide(seen), token_refused, shown)
    }

    /// Forgets a token that was refused.
    fn forget(&self, customer: &str, pass: &Pass) {
        if let (Some(identity), Some(token)) = (&self.identity, &pass.token) {
            identity.forget(customer, token);
        }
    }

    /// Hands an attempt to the journal and counts it.
    fn note(&self, intent: &Intent, attempt: u32, flaw: Option<&str>, attempted: &Attempted) {
        count(&self.counters, &attempted.outcome);
        (self.sink)(Record::Operation(Operation {
            reference: intent.reference.clone(),
            attempt,
            customer: intent.customer.clone(),
            idempotency_key: intent.idempotency_key.clone(),
            forged: flaw.map(ToOwned::to_owned),
            started_us: attempted.started_us,
            ended_us: attempted.ended_us,
            lines: intent.lines.clone(),
            amount_minor: intent.amount_minor,
            outcome: attempted.outcome.clone(),
        }));
        self.attempted.send_modify(|attempted| *attempted += 1);
    }
}

async fn carry_out(shop: Arc<Shop>, intent: Intent) {
    // A customer whose token was refused gets another one and tries again, once; that is not one of the usual attempts.
    let mut may_renew = true;
    let mut usual = 0;
    for attempt in 1.. {
        let pass = tokio::select! {
            pass = shop.pass(&intent.customer) => pass,
            () = shop.abandon.cancelled() => return,
        };
        let attempted = shop.attempt(&intent, &pass).await;
        let flaw = pass.as_ref().ok().and_then(|pass| pass.flaw);
        shop.note(&intent, attempt, flaw, &attempted);
        if let Outcome::Done { order_id } = &attempted.outcome {
            following::accompany(&shop, &intent.customer, order_id, &attempted).await;
        }
        let renews = attempted.token_refused && may_renew;
        let again = matches!(attempted.outcome, Outcome::Unknown { .. })
            && intent.idempotency_key.is_some();
        if renews {
            may_renew = false;
            continue;
        }
        usual += 1;
        if !again || usual >= shop.habits.attempts {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(shop.habits.pause_ms)) => {}
            () = shop.abandon.cancelled() => return,
        }
    }
}

fn count(counters: &Counters, outcome: &Outcome) {
    let counter = match outcome {
        Outcome::Done { .. } => &counters.accepted,
        Outcome::Refused { .. } => &counters.refused,
        Outcome::Unknown { .. } => &counters.unknown,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Microseconds since `clock`.
pub fn micros(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX)
}
