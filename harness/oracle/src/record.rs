//! What a journal holds: one record a line, in the order in which things became known.
//!
//! Times are microseconds since the drill began. Every record is plain data, so that a recorded run can be judged again
//! by a later version.

use serde::{Deserialize, Serialize};

/// Version of the journal's format; a reader refuses a journal of another version.
pub const JOURNAL_SCHEMA: u32 = 1;

/// One line of `journal.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The first line: what was drilled, and how to do it again.
    Drill(DrillHeader),
    /// The drill entered a phase (`prepare`, `start`, `load`, `hurt`, `heal`, `settle`, `observe`, `check`, `clean_up`).
    Phase {
        /// When.
        at_us: u64,
        /// Name of the phase.
        phase: String,
    },
    /// One attempt of a customer, with its outcome.
    Operation(Operation),
    /// How an order was shown to a customer.
    Look(Look),
    /// A fault came into force.
    FaultStarted {
        /// When.
        at_us: u64,
        /// Name of the profile.
        fault: String,
        /// What it hurts, in the words of the topology: `payment-service -> payment-provider`, `order-service-1`.
        target: String,
        /// The fault as a value, for the reader of the journal.
        parameters: serde_json::Value,
    },
    /// What a witness had counted of a fault when it was last asked; the last one of a fault is the one that decides.
    FaultFelt {
        /// When.
        at_us: u64,
        /// Name of the profile.
        fault: String,
        /// Who witnessed it, in words: `charges without an answer`.
        witness: String,
        /// How often it was felt.
        count: u64,
        /// How often it must be felt for the drill to mean anything.
        at_least: u64,
    },
    /// How often somebody believed what a fault showed to deceive them, until it was taken back.
    FaultTrusted {
        /// When.
        at_us: u64,
        /// Name of the profile.
        fault: String,
        /// How often.
        count: u64,
    },
    /// A fault was taken back.
    FaultHealed {
        /// When.
        at_us: u64,
        /// Name of the profile.
        fault: String,
        /// Why the healing failed, if it did.
        error: Option<String>,
    },
    /// A measured value of a component.
    Sample {
        /// When.
        at_us: u64,
        /// Instance or component it was read from.
        source: String,
        /// Name of the value, its unit last.
        metric: String,
        /// The value.
        value: f64,
    },
    /// How the wait for the pipeline to come to rest ended.
    Settled {
        /// When.
        at_us: u64,
        /// How it ended.
        outcome: Settlement,
        /// What was still outstanding, in words; empty when everything came to rest.
        outstanding: Vec<String>,
    },
    /// Which kinds of messages a consumer group acts upon in one topic; a group for which nothing is said acts upon all
    /// messages of every topic that it reads.
    Consumes {
        /// The group, without the drill's prefix.
        group: String,
        /// Topic, without the drill's prefix.
        topic: String,
        /// What those messages say, as in [`Fact::Message`].
        kinds: Vec<String>,
    },
    /// What a customer is told once an order has come to a state, and over which channels: once over each.
    Tells {
        /// The consumer group that tells it, without the drill's prefix.
        group: String,
        /// The state, and what is said: `paid`.
        kind: String,
        /// The channels, `email`.
        channels: Vec<String>,
    },
    /// Something that was read from the system after it came to rest.
    Fact(Fact),
    /// One kind of fact was read from one place, or could not be read. Without this record a kind counts as not observed
    /// and nothing is concluded from the absence of its facts: no charges and charges nobody asked for are different.
    Observed {
        /// When the reading ended.
        at_us: u64,
        /// What was read.
        kind: FactKind,
        /// Where, in words: `order-service, table orders`. A kind may be read from several places.
        source: String,
        /// How many facts of this kind were written for it.
        rows: u64,
        /// Why it could not be read completely, if it could not.
        error: Option<String>,
    },
    /// A promise of the scenario's own, beside the always-on invariants.
    Expectation(Expectation),
    /// The harness itself failed; nothing is said about the system.
    HarnessError {
        /// When.
        at_us: u64,
        /// What failed, where, and what to do.
        message: String,
    },
    /// The last line of a complete journal.
    Closed {
        /// When.
        at_us: u64,
        /// How many facts were written before.
        facts: u64,
    },
}

/// What was drilled, and everything that is needed to do it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillHeader {
    /// [`JOURNAL_SCHEMA`] of the writer.
    pub schema: u32,
    /// Path of the feature file, relative to the workspace.
    pub feature: String,
    /// Line of the scenario (of the example's row for an outline).
    pub line: usize,
    /// Name of the scenario.
    pub scenario: String,
    /// Catalogue ids from the scenario's tags, `6.5`.
    pub failures: Vec<String>,
    /// Seed of this drill.
    pub seed: u64,
    /// Name of the testbed.
    pub testbed: String,
    /// Defences that are switched off.
    pub without: Vec<String>,
}

/// One attempt of a customer. Attempts that share a `reference` are one intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The customer's own purchase reference: one intent, however often it is attempted.
    pub reference: String,
    /// Counts the attempts of one intent, from 1.
    pub attempt: u32,
    /// Who tried.
    pub customer: String,
    /// The idempotency key that was sent, if one was.
    pub idempotency_key: Option<String>,
    /// What was wrong with the token that was sent, if it was a forged one: `expired`, `alg_none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forged: Option<String>,
    /// When the attempt started.
    pub started_us: u64,
    /// When its outcome was known.
    pub ended_us: u64,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// What the customer was shown as the sum, in minor units of the currency.
    pub amount_minor: i64,
    /// What became of it.
    pub outcome: Outcome,
}

/// How an order was shown to a customer, who looked at it, or changed it and was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The order.
    pub order_id: String,
    /// Who looked.
    pub customer: String,
    /// When the customer asked.
    pub asked_us: u64,
    /// When the answer was there.
    pub answered_us: u64,
    /// The state that was shown.
    pub state: String,
    /// The version that was shown, where the system counts the changes of an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// A product and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// The product.
    pub product_id: String,
    /// Units.
    pub quantity: i64,
}

/// What a customer knows after an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It happened: the system accepted the order.
    Done {
        /// The order that was accepted.
        order_id: String,
    },
    /// It certainly had no effect.
    Refused {
        /// What was answered, `429` or `connection refused`.
        reason: String,
    },
    /// It may have happened.
    Unknown {
        /// What was seen instead of an answer.
        reason: String,
    },
}

/// How the wait for the pipeline to come to rest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// Nothing was outstanding.
    Settled,
    /// Nothing moved any more although something was outstanding: it will never come to rest.
    Stuck,
    /// Something was still moving when the time was up.
    TimedOut,
}

/// What was read from the system after it came to rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// An order as the order service knows it.
    Order {
        /// The order.
        order_id: String,
        /// The customer's purchase reference.
        reference: String,
        /// Its state.
        state: String,
        /// Whether that state is final.
        is_final: bool,
        /// Sum in minor units.
        amount_minor: i64,
        /// Counts the changes of state, from 1.
        version: i64,
        /// The currency, where the service names one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        currency: Option<String>,
    },
    /// One line of an order.
    OrderLine {
        /// The order.
        order_id: String,
        /// The product.
        product_id: String,
        /// Units.
        quantity: i64,
    },
    /// One change of state, as the audit trail has it.
    AuditEntry {
        /// The order.
        order_id: String,
        /// Version of the order after the change.
        version: i64,
        /// State before; none for the first.
        from_state: Option<String>,
        /// State after.
        to_state: String,
        /// When it happened, as the event about it says, in milliseconds since 1970; where the trail has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_ms: Option<i64>,
    },
    /// Money taken, from the ledger of the payment provider.
    Charge {
        /// The charge.
        charge_id: String,
        /// The order.
        order_id: String,
        /// Minor units.
        amount_minor: i64,
        /// The idempotency key it was booked under.
        idempotency_key: Option<String>,
        /// The currency, where the ledger names one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        currency: Option<String>,
        /// When it was booked by the provider's clock, in microseconds since 1970, where the ledger says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_us: Option<i64>,
    },
    /// Money given back, from the ledger of the payment provider.
    Refund {
        /// The refund.
        refund_id: String,
        /// The charge that was given back.
        charge_id: String,
        /// The order.
        order_id: String,
        /// Minor units.
        amount_minor: i64,
    },
    /// How often the provider was asked for one order.
    ProviderRequests {
        /// The order.
        order_id: String,
        /// `charge` or `refund`.
        kind: String,
        /// Requests that reached the provider.
        attempts: u64,
    },
    /// Stock of a product.
    Stock {
        /// The product.
        product_id: String,
        /// Units before the first order.
        initial: i64,
        /// Units now.
        on_hand: i64,
    },
    /// Stock of a product as an instance shows it to whoever only looks; it may be a little old.
    ShownStock {
        /// The product.
        product_id: String,
        /// Units that are shown.
        on_hand: i64,
    },
    /// Stock taken (positive) or put back (negative) for an order.
    StockMove {
        /// Counts the moves in the order in which they were committed.
        sequence: i64,
        /// The order.
        order_id: String,
        /// The product.
        product_id: String,
        /// Units taken.
        quantity: i64,
        /// Units left after the move.
        on_hand_after: i64,
    },
    /// A record of a queue.
    Message {
        /// Topic, without the drill's prefix.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
        /// Id that a redelivered or re-published message keeps; none when the payload could not be read.
        message_id: Option<String>,
        /// The order, if the payload names one.
        order_id: Option<String>,
        /// What the message says, `charge`, `paid`.
        kind: Option<String>,
    },
    /// How far a consumer group has read one partition.
    Progress {
        /// The group, without the drill's prefix.
        group: String,
        /// Topic, without the drill's prefix.
        topic: String,
        /// Partition.
        partition: i32,
        /// The next offset the group will read.
        committed: i64,
        /// The next offset that will be written.
        end: i64,
    },
    /// A message whose work a service has recorded as done.
    Processed {
        /// The consumer group, without the drill's prefix.
        group: String,
        /// The message.
        message_id: String,
        /// The order.
        order_id: Option<String>,
    },
    /// A message that was given up and parked in a dead-letter topic.
    Parked {
        /// The consumer group that gave it up.
        group: String,
        /// The topic it came from, without the drill's prefix.
        topic: String,
        /// The partition it came from.
        partition: i32,
        /// The offset it had there.
        offset: i64,
        /// Why.
        reason: String,
    },
    /// A message that reached a customer, from the mailbox of the message provider.
    Told {
        /// The message.
        message_id: String,
        /// The order it is about.
        order_id: String,
        /// What it says, `paid`.
        kind: String,
        /// How it was delivered, `email`.
        channel: String,
        /// Who got it.
        recipient: String,
        /// When it was delivered by the provider's clock, in microseconds since 1970.
        at_us: i64,
    },
    /// What the dashboards say about one window of event time in one currency.
    DashboardRow {
        /// Beginning of the window, in seconds since 1970.
        window_start_s: i64,
        /// Its length.
        window_s: i64,
        /// The currency.
        currency: String,
        /// Orders placed in it.
        placed: i64,
        /// Orders paid in it.
        paid: i64,
        /// Orders given back in it.
        refunded: i64,
        /// What was paid in it, in minor units.
        revenue_minor: i64,
    },
    /// What one build of the dashboards said about itself, for one partition of the topic it is made from.
    DashboardClaim {
        /// Counts the builds.
        build: i64,
        /// The consumer group that feeds the dashboards, without the drill's prefix.
        group: String,
        /// The topic, without the drill's prefix.
        topic: String,
        /// The partition.
        partition: i32,
        /// Every event before `end_offset` is counted.
        complete: bool,
        /// Events before `end_offset` that are counted.
        counted: i64,
        /// Messages before `end_offset` that it says are not counted yet.
        behind: i64,
        /// Where the partition ended when the build began.
        end_offset: i64,
    },
}

/// The kinds of facts, each named as in the field `fact` of a journal's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    /// [`Fact::Order`].
    Order,
    /// [`Fact::OrderLine`].
    OrderLine,
    /// [`Fact::AuditEntry`].
    AuditEntry,
    /// [`Fact::Charge`].
    Charge,
    /// [`Fact::Refund`].
    Refund,
    /// [`Fact::ProviderRequests`].
    ProviderRequests,
    /// [`Fact::Stock`].
    Stock,
    /// [`Fact::ShownStock`].
    ShownStock,
    /// [`Fact::StockMove`].
    StockMove,
    /// [`Fact::Message`].
    Message,
    /// [`Fact::Progress`].
    Progress,
    /// [`Fact::Processed`].
    Processed,
    /// [`Fact::Parked`].
    Parked,
    /// [`Fact::Told`].
    Told,
    /// [`Fact::DashboardRow`].
    DashboardRow,
    /// [`Fact::DashboardClaim`].
    DashboardClaim,
}

impl FactKind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::Order,
        Self::OrderLine,
        Self::AuditEntry,
        Self::Charge,
        Self::Refund,
        Self::ProviderRequests,
        Self::Stock,
        Self::ShownStock,
        Self::StockMove,
        Self::Message,
        Self::Progress,
        Self::Processed,
        Self::Parked,
        Self::Told,
        Self::DashboardRow,
        Self::DashboardClaim,
    ];

    /// The kind in words, for sentences: `audit rows`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Order => "orders",
            Self::OrderLine => "order lines",
            Self::AuditEntry => "audit rows",
            Self::Charge => "charges",
            Self::Refund => "refunds",
            Self::ProviderRequests => "requests to the provider",
            Self::Stock => "stock",
            Self::ShownStock => "the shown stock",
            Self::StockMove => "stock moves",
            Self::Message => "messages",
            Self::Progress => "progress of the consumer groups",
            Self::Processed => "processed messages",
            Self::Parked => "parked messages",
            Self::Told => "messages to customers",
            Self::DashboardRow => "rows of the dashboards",
            Self::DashboardClaim => "claims of the dashboards",
        }
    }
}

impl Fact {
    /// What kind of fact this is.
    pub fn kind(&self) -> FactKind {
        match self {
            Self::Order { .. } => FactKind::Order,
            Self::OrderLine { .. } => FactKind::OrderLine,
            Self::AuditEntry { .. } => FactKind::AuditEntry,
            Self::Charge { .. } => FactKind::Charge,
            Self::Refund { .. } => FactKind::Refund,
            Self::ProviderRequests { .. } => FactKind::ProviderRequests,
            Self::Stock { .. } => FactKind::Stock,
            Self::ShownStock { .. } => FactKind::ShownStock,
            Self::StockMove { .. } => FactKind::StockMove,
            Self::Message { .. } => FactKind::Message,
            Self::Progress { .. } => FactKind::Progress,
            Self::Processed { .. } => FactKind::Processed,
            Self::Parked { .. } => FactKind::Parked,
            Self::Told { .. } => FactKind::Told,
            Self::DashboardRow { .. } => FactKind::DashboardRow,
            Self::DashboardClaim { .. } => FactKind::DashboardClaim,
        }
    }
}

/// A promise of one scenario, judged beside the always-on invariants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "expectation", rename_all = "kebab-case")]
pub enum Expectation {
    /// No order made the provider work more often than this.
    ProviderAttemptsPerOrder {
        /// Attempts, of one kind, for one order.
        at_most: u64,
    },
    /// The share of customers' attempts that failed (refused or unknown) stays within bounds; forgers are no customers.
    FailedShare {
        /// Share from 0 to 1.
        at_most: f64,
    },
    /// Nobody with a forged token got an order. Needs somebody who tried.
    NoForgedOrder,
    /// At least so many attempts were answered with an accepted order.
    AcceptedOrders {
        /// Orders.
        at_least: u64,
    },
    /// At least so many attempts were left without an answer: their customers were in doubt.
    UnansweredAttempts {
        /// Attempts.
        at_least: u64,
    },
    /// What is shown of the stock at the end is what there is.
    ShownStockTrue,
    /// At least so many orders were shown to customers in a state: they looked while it lasted.
    OrdersSeen {
        /// The state.
        state: String,
        /// Orders.
        at_least: u64,
    },
    /// So many units of a product were sold, neither more nor fewer.
    UnitsSold {
        /// The product; all products when none is named.
        product_id: Option<String>,
        /// Units.
        exactly: i64,
    },
    /// At least so many orders ended in a state.
    OrdersInState {
        /// The state.
        state: String,
        /// Orders, at least.
        at_least: u64,
        /// Orders, at most.
        at_most: Option<u64>,
    },
    /// So many messages of a topic were parked.
    ParkedMessages {
        /// Topic, without the drill's prefix.
        topic: String,
        /// Messages, at least.
        at_least: u64,
        /// Messages, at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<u64>,
    },
    /// A fault was not felt more often than this, by its own witness: who is hurt leaves it alone.
    FaultFelt {
        /// Name of the profile.
        fault: String,
        /// How often, at most.
        at_most: u64,
    },
    /// Nobody believed what a fault showed to deceive them: nothing was said to who could not prove who he is.
    NobodyTrusted {
        /// Name of the profile.
        fault: String,
    },
    /// The share of customers' attempts that were left without an answer stays within bounds.
    UnansweredShare {
        /// Share from 0 to 1.
        at_most: f64,
    },
    /// So many attempts of customers, without those of forgers, were refused for one reason.
    Refusals {
        /// The reason as customers see it, `409 price_changed`, or what it begins with: a status, `401`, or what stands
        /// before a colon, `not sent`.
        reason: String,
        /// Attempts, at least.
        at_least: u64,
        /// Attempts, at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<u64>,
    },
    /// No instance held much more memory late than early.
    MemoryGrowth {
        /// Share from 0: 0.3 is 30 percent more.
        at_most: f64,
    },
}

impl Expectation {
    /// All names, for checking what `@without:` tags say.
    pub const NAMES: [&'static str; 15] = [
        "provider-attempts-bounded",
        "failures-bounded",
        "orders-accepted",
        "attempts-unanswered",
        "shown-stock-true",
        "orders-seen",
        "exactly-the-stock-sold",
        "orders-in-state",
        "messages-parked",
        "refusals-seen",
        "answers-in-time",
        "fault-felt-bounded",
        "nobody-trusted",
        "memory-flat",
        "no-forged-order",
    ];

    /// The name under which a broken expectation is reported, as `@without:` tags name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ProviderAttemptsPerOrder { .. } => "provider-attempts-bounded",
            Self::FailedShare { .. } => "failures-bounded",
            Self::AcceptedOrders { .. } => "orders-accepted",
            Self::UnansweredAttempts { .. } => "attempts-unanswered",
            Self::ShownStockTrue => "shown-stock-true",
            Self::OrdersSeen { .. } => "orders-seen",
            Self::UnitsSold { .. } => "exactly-the-stock-sold",
            Self::OrdersInState { .. } => "orders-in-state",
            Self::ParkedMessages { .. } => "messages-parked",
            Self::Refusals { .. } => "refusals-seen",
            Self::UnansweredShare { .. } => "answers-in-time",
            Self::FaultFelt { .. } => "fault-felt-bounded",
            Self::NobodyTrusted { .. } => "nobody-trusted",
            Self::MemoryGrowth { .. } => "memory-flat",
            Self::NoForgedOrder => "no-forged-order",
        }
    }
}
