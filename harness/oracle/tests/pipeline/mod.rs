//! What a healthy pipeline leaves in a journal, for any mix of purchases: the tests break it in known ways, the
//! benchmark makes it large.

use firedrill_oracle::record::{
    DrillHeader, Fact, FactKind, JOURNAL_SCHEMA, Look, Operation, OrderLine, Outcome, Record,
    Settlement,
};

/// What becomes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Fulfilled,
    Declined,
    OutOfStock,
    Cancelled,
    CancelledAndDeclined,
    CancelledButCharged,
}

/// What the customer sees of a purchase, attempt by attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    Done,
    UnknownThenDone,
    RefusedThenDone,
    DoneTwice,
    UnknownButHappened,
    UnknownAndNothing,
    RefusedTwice,
}

/// One purchase of a customer.
#[derive(Debug, Clone)]
pub(crate) struct Purchase {
    /// Product number below [`PRODUCTS`], and units.
    pub(crate) lines: Vec<(usize, i64)>,
    pub(crate) fate: Fate,
    pub(crate) answers: Answers,
    /// Every message of the order is published twice.
    pub(crate) published_twice: bool,
    /// The command before the order's is unreadable and parked.
    pub(crate) after_poison: bool,
}

pub(crate) const PRODUCTS: usize = 6;
const PRICES_MINOR: [i64; PRODUCTS] = [100, 250, 999, 1, 4_200, 777];
const INITIAL_UNITS: i64 = 1_000_000_000;
const PARTITIONS: usize = 8;
const WINDOW_S: i64 = 5;

impl Purchase {
    fn has_order(&self) -> bool {
        !matches!(
            self.answers,
            Answers::UnknownAndNothing | Answers::RefusedTwice
        )
    }
}

/// The journal of a healthy drill.
pub(crate) fn journal(purchases: &[Purchase]) -> Vec<Record> {
    let mut pipeline = Pipeline::default();
    for (number, purchase) in purchases.iter().enumerate() {
        pipeline.purchase(number, purchase);
    }
    pipeline.close()
}

/// Makes the counts of a journal fit again after its facts were changed.
pub(crate) fn reseal(journal: &mut [Record]) {
    let facts: Vec<FactKind> = journal
        .iter()
        .filter_map(|record| match record {
            Record::Fact(fact) => Some(fact.kind()),
            _ => None,
        })
        .collect();
    for record in journal {
        match record {
            Record::Observed { kind, rows, .. } => {
                *rows = facts.iter().filter(|fact| **fact == *kind).count() as u64
            }
            Record::Closed { facts: count, .. } => *count = facts.len() as u64,
            _ => {}
        }
    }
}

#[derive(Default)]
struct Pipeline {
    records: Vec<Record>,
    facts: Vec<Fact>,
    taken: [i64; PRODUCTS],
    moves: i64,
    /// Next offset by topic and partition.
    ends: Vec<(&'static str, [i64; PARTITIONS])>,
    now_us: u64,
    /// Placed, paid, refunded, revenue, by window.
    windows: std::collections::BTreeMap<i64, [i64; 4]>,
}

impl Pipeline {
    fn purchase(&mut self, number: usize, purchase: &Purchase) {
        let order_id = format!("0192f0c1-7a00-7000-8000-{number:012x}");
        let done = Outcome::Done {
            order_id: order_id.clone(),
        };
        let refused = Outcome::Refused {
            reason: "429 too many requests".to_owned(),
        };
        let unknown = Outcome::Unknown {
            reason: "504 upstream_timeout".to_owned(),
        };
        let outcomes = match purchase.answers {
            Answers::Done => vec![done],
            Answers::UnknownThenDone => vec![unknown, done],
            Answers::RefusedThenDone => vec![refused, done],
            Answers::DoneTwice => vec![done.clone(), done],
            Answers::UnknownButHappened | Answers::UnknownAndNothing => vec![unknown],
            Answers::RefusedTwice => vec![refused.clone(), refused],
        };
        for (attempt, outcome) in (1..).zip(outcomes) {
            self.attempt(number, purchase, attempt, outcome);
        }
        if purchase.has_order() {
            self.order(number, &order_id, purchase);
        }
    }

    fn attempt(&mut self, number: usize, purchase: &Purchase, attempt: u32, outcome: Outcome) {
        self.now_us += 1_000;
        self.records.push(Record::Operation(Operation {
            reference: format!("purchase-{number}"),
            attempt,
            customer: format!("customer-{}", number % 50),
            idempotency_key: Some(format!("key-{number}")),
            forged: None,
            started_us: self.now_us,
            ended_us: self.now_us + 20_000,
            lines: purchase
                .lines
                .iter()
                .map(|(product, quantity)| OrderLine {
                    product_id: product_id(*product),
                    quantity: *quantity,
                })
                .collect(),
            amount_minor: amount_minor(purchase),
            outcome,
        }));
    }

    fn order(&mut self, number: usize, order_id: &str, purchase: &Purchase) {
        let states: &[&str] = match purchase.fate {
            Fate::Fulfilled => &["placed", "payment_pending", "paid", "fulfilled"],
            Fate::Declined => &["placed", "payment_pending", "declined"],
            Fate::OutOfStock => &[
                "placed",
                "payment_pending",
                "paid",
                "out_of_stock",
                "refunded",
            ],
            Fate::Cancelled => &["placed", "cancelled"],
            Fate::CancelledAndDeclined => &["placed", "payment_pending", "cancelling", "cancelled"],
            Fate::CancelledButCharged => &[
                "placed",
                "payment_pending",
                "cancelling",
                "refunding",
                "refunded",
            ],
        };
        let amount_minor = amount_minor(purchase);
        self.facts.push(Fact::Order {
            order_id: order_id.to_owned(),
            reference: format!("purchase-{number}"),
            state: states[states.len() - 1].to_owned(),
            is_final: true,
            amount_minor,
            version: states.len() as i64,
            currency: Some("EUR".to_owned()),
        });
        for (product, quantity) in &purchase.lines {
            self.facts.push(Fact::OrderLine {
                order_id: order_id.to_owned(),
                product_id: product_id(*product),
                quantity: *quantity,
            });
        }
        self.follow(number, order_id, states);
        for (index, state) in states.iter().enumerate() {
            let at_ms = self.show(number, index, state, amount_minor);
            self.facts.push(Fact::AuditEntry {
                order_id: order_id.to_owned(),
                version: index as i64 + 1,
                from_state: index.checked_sub(1).map(|before| states[before].to_owned()),
                to_state: (*state).to_owned(),
                at_ms: Some(at_ms),
            });
        }
        self.say(number, order_id, purchase, "order-events", "placed");
        if let Fate::Cancelled | Fate::CancelledAndDeclined = purchase.fate {
            self.say(number, order_id, purchase, "order-events", "cancelled");
        }
        if purchase.fate != Fate::Cancelled {
            self.pay(number, order_id, purchase);
        }
    }

    /// The customer looks at every state that the order comes to. Not every shop says versions.
    fn follow(&mut self, number: usize, order_id: &str, states: &[&str]) {
        for (version, state) in (1_i64..).zip(states) {
            self.now_us += 20_000;
            self.records.push(Record::Look(Look {
                order_id: order_id.to_owned(),
                customer: format!("customer-{}", number % 50),
                asked_us: self.now_us,
                answered_us: self.now_us + 4_000,
                state: (*state).to_owned(),
                version: (!number.is_multiple_of(3)).then_some(version),
            }));
        }
    }

    /// Counts a change of state in the dashboards; says when it happened, in milliseconds.
    fn show(&mut self, number: usize, step: usize, state: &str, amount_minor: i64) -> i64 {
        let at_ms = number as i64 * 700 + step as i64 * 1_300;
        let figures = self.windows.entry(at_ms / 1_000 / WINDOW_S).or_default();
        match state {
            "placed" => figures[0] += 1,
            "paid" => {
                figures[1] += 1;
                figures[3] += amount_minor;
            }
            "refunded" => figures[2] += 1,
            _ => {}
        }
        at_ms
    }

    fn dashboards(&mut self) {
        for (window, [placed, paid, refunded, revenue_minor]) in std::mem::take(&mut self.windows) {
            if placed + paid + refunded > 0 {
                self.facts.push(Fact::DashboardRow {
                    window_start_s: window * WINDOW_S,
                    window_s: WINDOW_S,
                    currency: "EUR".to_owned(),
                    placed,
                    paid,
                    refunded,
                    revenue_minor,
                });
            }
        }
        let mut counted = [0; PARTITIONS];
        let mut known = std::collections::HashSet::new();
        for fact in &self.facts {
            if let Fact::Message {
                topic,
                partition,
                message_id,
                ..
            } = fact
                && topic == "order-events"
                && known.insert(message_id)
            {
                counted[*partition as usize] += 1;
            }
        }
        let ends = self.ends.iter().find(|(topic, _)| *topic == "order-events");
        let ends = ends.map_or([0; PARTITIONS], |(_, ends)| *ends);
        for (partition, (counted, end_offset)) in counted.into_iter().zip(ends).enumerate() {
            self.facts.push(Fact::DashboardClaim {
                build: 1,
                group: "analytics-service".to_owned(),
                topic: "order-events".to_owned(),
                partition: partition as i32,
                complete: true,
                counted,
                behind: 0,
                end_offset,
            });
        }
    }

    fn pay(&mut self, number: usize, order_id: &str, purchase: &Purchase) {
        if purchase.after_poison {
            self.poison(number);
        }
        self.say(number, order_id, purchase, "payment-commands", "charge");
        self.request(order_id, "charge");
        if let Fate::Declined | Fate::CancelledAndDeclined = purchase.fate {
            self.say(number, order_id, purchase, "payment-results", "declined");
            if purchase.fate == Fate::Declined {
                self.say(number, order_id, purchase, "order-events", "declined");
            }
            return;
        }
        self.facts.push(Fact::Charge {
            charge_id: format!("charge-{number}"),
            order_id: order_id.to_owned(),
            amount_minor: amount_minor(purchase),
            idempotency_key: Some(format!("charge-{order_id}")),
            currency: Some("EUR".to_owned()),
            at_us: Some(charged_us(number)),
        });
        self.say(number, order_id, purchase, "payment-results", "charged");
        if purchase.fate == Fate::CancelledButCharged {
            self.refund(number, order_id, purchase);
            return;
        }
        self.say(number, order_id, purchase, "order-events", "paid");
        if purchase.fate == Fate::OutOfStock {
            self.say(
                number,
                order_id,
                purchase,
                "inventory-events",
                "out_of_stock",
            );
            self.say(number, order_id, purchase, "order-events", "out_of_stock");
            self.refund(number, order_id, purchase);
        } else {
            self.take(number, order_id, purchase);
        }
    }

    fn refund(&mut self, number: usize, order_id: &str, purchase: &Purchase) {
        self.say(number, order_id, purchase, "payment-commands", "refund");
        self.request(order_id, "refund");
        self.facts.push(Fact::Refund {
            refund_id: format!("refund-{number}"),
            charge_id: format!("charge-{number}"),
            order_id: order_id.to_owned(),
            amount_minor: amount_minor(purchase),
        });
        self.say(number, order_id, purchase, "payment-results", "refunded");
        self.say(number, order_id, purchase, "order-events", "refunded");
    }

    fn take(&mut self, number: usize, order_id: &str, purchase: &Purchase) {
        for (product, quantity) in &purchase.lines {
            self.moves += 1;
            self.taken[*product] += quantity;
            self.facts.push(Fact::StockMove {
                sequence: self.moves,
                order_id: order_id.to_owned(),
                product_id: product_id(*product),
                quantity: *quantity,
                on_hand_after: INITIAL_UNITS - self.taken[*product],
            });
        }
        self.say(number, order_id, purchase, "inventory-events", "taken");
        self.say(number, order_id, purchase, "order-events", "fulfilled");
    }

    fn request(&mut self, order_id: &str, kind: &str) {
        self.facts.push(Fact::ProviderRequests {
            order_id: order_id.to_owned(),
            kind: kind.to_owned(),
            attempts: 1,
        });
    }

    fn say(
        &mut self,
        number: usize,
        order_id: &str,
        purchase: &Purchase,
        topic: &'static str,
        kind: &str,
    ) {
        let message_id = format!("{number:08x}-{topic}-{kind}");
        for _ in 0..=usize::from(purchase.published_twice) {
            let (partition, offset) = self.append(number, topic);
            self.facts.push(Fact::Message {
                topic: topic.to_owned(),
                partition,
                offset,
                message_id: Some(message_id.clone()),
                order_id: Some(order_id.to_owned()),
                kind: Some(kind.to_owned()),
            });
        }
        if topic != "order-events" || kind == "paid" {
            self.facts.push(Fact::Processed {
                group: reader(topic).to_owned(),
                message_id,
                order_id: Some(order_id.to_owned()),
            });
        }
        if topic == "order-events" {
            self.tell(number, order_id, kind);
        }
    }

    fn tell(&mut self, number: usize, order_id: &str, kind: &str) {
        for channel in channels(kind) {
            self.facts.push(Fact::Told {
                message_id: format!("{number:08x}-{kind}-{channel}"),
                order_id: order_id.to_owned(),
                kind: kind.to_owned(),
                channel: (*channel).to_owned(),
                recipient: format!("customer-{}@shop.example", number % 50),
                at_us: charged_us(number) + 40_000,
            });
        }
    }

    fn poison(&mut self, number: usize) {
        let topic = "payment-commands";
        let (partition, offset) = self.append(number, topic);
        self.facts.push(Fact::Message {
            topic: topic.to_owned(),
            partition,
            offset,
            message_id: None,
            order_id: None,
            kind: None,
        });
        self.facts.push(Fact::Parked {
            group: reader(topic).to_owned(),
            topic: topic.to_owned(),
            partition,
            offset,
            reason: "not JSON".to_owned(),
        });
    }

    fn append(&mut self, number: usize, topic: &'static str) -> (i32, i64) {
        let known = self.ends.iter().position(|(name, _)| *name == topic);
        let position = known.unwrap_or_else(|| {
            self.ends.push((topic, [0; PARTITIONS]));
            self.ends.len() - 1
        });
        let end = &mut self.ends[position].1[number % PARTITIONS];
        *end += 1;
        ((number % PARTITIONS) as i32, *end - 1)
    }

    fn close(mut self) -> Vec<Record> {
        for (product, taken) in self.taken.iter().enumerate() {
            self.facts.push(Fact::Stock {
                product_id: product_id(product),
                initial: INITIAL_UNITS,
                on_hand: INITIAL_UNITS - taken,
            });
            self.facts.push(Fact::ShownStock {
                product_id: product_id(product),
                on_hand: INITIAL_UNITS - taken,
            });
        }
        for (topic, ends) in &self.ends {
            for (partition, end) in ends.iter().enumerate() {
                self.facts.push(Fact::Progress {
                    group: reader(topic).to_owned(),
                    topic: (*topic).to_owned(),
                    partition: partition as i32,
                    committed: *end,
                    end: *end,
                });
            }
        }
        self.dashboards();
        let mut journal = vec![Record::Drill(DrillHeader {
            schema: JOURNAL_SCHEMA,
            feature: "features/quickstart.feature".to_owned(),
            line: 7,
            scenario: "a healthy drill".to_owned(),
            failures: Vec::new(),
            seed: 7,
            testbed: "local".to_owned(),
            without: Vec::new(),
        })];
        journal.append(&mut self.records);
        let at_us = self.now_us + 1_000_000;
        journal.push(Record::Settled {
            at_us,
            outcome: Settlement::Settled,
            outstanding: Vec::new(),
        });
        journal.push(Record::Consumes {
            group: "inventory-service".to_owned(),
            topic: "order-events".to_owned(),
            kinds: vec!["paid".to_owned()],
        });
        for kind in TOLD {
            journal.push(Record::Tells {
                group: "notification-service".to_owned(),
                kind: kind.to_owned(),
                channels: channels(kind)
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect(),
            });
        }
        // As an observer reads them: kind by kind, and so it also lies on the disk.
        self.facts.sort_by_key(Fact::kind);
        journal.extend(self.facts.into_iter().map(Record::Fact));
        journal.extend(FactKind::ALL.map(|kind| Record::Observed {
            at_us,
            kind,
            source: "the model".to_owned(),
            rows: 0,
            error: None,
        }));
        journal.push(Record::Closed { at_us, facts: 0 });
        reseal(&mut journal);
        journal
    }
}

fn product_id(product: usize) -> String {
    format!("p-{product:04}")
}

fn amount_minor(purchase: &Purchase) -> i64 {
    purchase
        .lines
        .iter()
        .map(|(product, quantity)| PRICES_MINOR[*product] * quantity)
        .sum()
}

/// When the provider booked the charge of a purchase.
fn charged_us(number: usize) -> i64 {
    1_700_000_000_000_000 + number as i64 * 10_000
}

/// What customers are told.
const TOLD: [&str; 4] = ["paid", "declined", "refunded", "cancelled"];

fn channels(kind: &str) -> &'static [&'static str] {
    match kind {
        "paid" => &["email", "sms"],
        _ if TOLD.contains(&kind) => &["email"],
        _ => &[],
    }
}

fn reader(topic: &str) -> &'static str {
    match topic {
        "payment-commands" => "payment-service",
        "order-events" => "inventory-service",
        _ => "order-service",
    }
}
