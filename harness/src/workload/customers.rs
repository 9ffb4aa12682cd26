//! The running load: draws intents, paces them, carries them out and hands every attempt to a journal.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use firedrill_oracle::record::{Operation, Outcome};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    client::Client,
    generator::{Generator, Intent},
    identity::{FLAWS, Identity},
    outcome::{self, Seen},
    pace::{OPEN_LOOP_LIMIT, Pace},
};

/// What customers are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    /// Whether they send an idempotency key.
    pub with_key: bool,
    /// How often they try in all when an outcome is unknown; always with the same key, never without one.
    pub attempts: u32,
    /// How long they wait before they try again, in milliseconds.
    pub pause_ms: u64,
    /// Most products in one order.
    pub most_lines: u32,
    /// Whether they give an order up as soon as they are told that it was accepted.
    pub cancels: bool,
    /// Length of the note that they write beside an order, in characters.
    pub note_characters: usize,
    /// Whether they come with forged tokens, each kind in turn.
    pub forged: bool,
    /// Whether each is new, and has to find the shop and make a connection of its own.
    pub new: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            with_key: true,
            attempts: 1,
            pause_ms: 200,
            most_lines: 3,
            cancels: false,
            note_characters: 0,
            forged: false,
            new: false,
        }
    }
}

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

/// Takes every attempt as soon as its outcome is known; must not block for long.
pub type OperationSink = Arc<dyn Fn(Operation) + Send + Sync>;

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
    sink: OperationSink,
    clock: Instant,
    counters: Counters,
    attempted: watch::Sender<u64>,
    habits: Habits,
    abandon: CancellationToken,
}

/// Customers at work. Dropping them abandons every attempt at once.
pub struct Customers {
    shop: Arc<Shop>,
    stop: CancellationToken,
    work: tokio::task::JoinHandle<()>,
}

impl Drop for Customers {
    fn drop(&mut self) {
        self.stop.cancel();
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
        sink: OperationSink,
    ) -> Self {
        let shop = Shop::open(client, identity, habits, clock, sink);
        let stop = CancellationToken::new();
        let work = tokio::spawn(run(shop.clone(), generator, pace, stop.clone()));
        Self { shop, stop, work }
    }

    /// Lets these customers come at the same moment, each once; they have got their tokens before.
    pub fn start_at_once(
        client: Client,
        identity: Option<Arc<Identity>>,
        intents: Vec<Intent>,
        habits: Habits,
        clock: Instant,
        sink: OperationSink,
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
        Self {
            shop,
            stop: CancellationToken::new(),
            work,
        }
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
            () = self.stop.cancelled() => {}
        }
    }

    /// Nobody new comes; those under way get their outcome. After `within` the rest is abandoned (outcome unknown).
    pub async fn stop(&mut self, within: Duration) -> CustomersReport {
        self.stop.cancel();
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
        sink: OperationSink,
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
            abandon: CancellationToken::new(),
        })
    }
}

async fn run(shop: Arc<Shop>, generator: Generator, pace: Pace, stop: CancellationToken) {
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
        Pace::PerSecond(_) => open_loop(&shop, &*draw, pace, &stop, &mut under_way).await,
        Pace::Concurrent(customers) => {
            for _ in 0..customers {
                let (shop, draw, stop) = (shop.clone(), draw.clone(), stop.clone());
                under_way.spawn(async move {
                    while !stop.is_cancelled() {
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
    stop: &CancellationToken,
    under_way: &mut JoinSet<()>,
) {
    let places = Arc::new(Semaphore::new(OPEN_LOOP_LIMIT));
    let start = Instant::now();
    for index in 0.. {
        let Some(due) = pace.due(index) else { return };
        tokio::select! {
            () = tokio::time::sleep_until(start + due) => {}
            () = stop.cancelled() => return,
        }
        while under_way.try_join_next().is_some() {}
        if places.available_permits() == 0 {
            shop.counters.held_back.fetch_add(1, Ordering::Relaxed);
        }
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = stop.cancelled() => return,
        };
        let attempt = carry_out(shop.clone(), draw());
        under_way.spawn(async move {
            attempt.await;
            drop(place);
        });
    }
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

    /// One attempt and what came of it; whether it was the token that was refused.
    async fn attempt(&self, intent: &Intent, pass: &Result<Pass, String>) -> (Outcome, bool) {
        let pass = match pass {
            Ok(pass) => pass,
            Err(reason) => {
                let reason = format!("no token: {reason}");
                return (outcome::decide(Seen::NotSent { reason }), false);
            }
        };
        let seen = self
            .client
            .place_order(intent, self.habits.note_characters, pass.token.as_deref())
            .await;
        let refused = matches!(seen, Seen::Answer { status: 401, .. }) && pass.flaw.is_none();
        if let (true, Some(identity), Some(token)) = (refused, &self.identity, &pass.token) {
            identity.forget(&intent.customer, token);
        }
        (outcome::decide(seen), refused && pass.token.is_some())
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
        let started_us = micros(shop.clock);
        let (outcome, token_refused) = tokio::select! {
            done = shop.attempt(&intent, &pass) => done,
            () = shop.abandon.cancelled() => (Outcome::Unknown { reason: "the customer gave up".into() }, false),
        };
        let renews = token_refused && may_renew;
        let again = matches!(outcome, Outcome::Unknown { .. }) && intent.idempotency_key.is_some();
        let accepted = match &outcome {
            Outcome::Done { order_id } => Some(order_id.clone()),
            _ => None,
        };
        count(&shop.counters, &outcome);
        (shop.sink)(Operation {
            reference: intent.reference.clone(),
            attempt,
            customer: intent.customer.clone(),
            idempotency_key: intent.idempotency_key.clone(),
            forged: pass
                .as_ref()
                .ok()
                .and_then(|pass| pass.flaw)
                .map(ToOwned::to_owned),
            started_us,
            ended_us: micros(shop.clock),
            lines: intent.lines.clone(),
            amount_minor: intent.amount_minor,
            outcome,
        });
        shop.attempted.send_modify(|attempted| *attempted += 1);
        if let Some(order_id) = accepted.filter(|_| shop.habits.cancels) {
            let token = pass.as_ref().ok().and_then(|pass| pass.token.as_deref());
            tokio::select! {
                () = shop.client.cancel_order(&order_id, &intent.customer, token) => {}
                () = shop.abandon.cancelled() => return,
            }
        }
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
