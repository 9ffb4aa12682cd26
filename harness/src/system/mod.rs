//! What is known about the system that is drilled: where its facts are read, what is outstanding, how it gets its products.
//!
//! Here and in the steps, and nowhere else, may the words order, payment and stock appear. What differs between systems is
//! in `observations.toml`; this module gives it meaning:
//!
//! * [`Observations`]: the file, checked against the topology.
//! * [`Observer`]: reads facts and counts what is outstanding, past every proxy, with connections that stay open.
//! * [`Reading`]: the facts of one kind from one place, or why they could not be read.

mod arrange;
mod check;
mod endpoint;
mod fields;
mod observer;
mod queue;
mod shape;
mod sql;

use std::{collections::BTreeMap, path::PathBuf};

use firedrill_oracle::record::{Fact, FactKind, Record};

pub use arrange::Product;
pub use observer::{ObservationError, Observer};

/// The JSON Schema of `observations.toml`, for editors.
pub fn schema() -> String {
    crate::document::schema::<shape::ObservationsShape>()
}

/// Where the facts about a system are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observations {
    /// The file it was read from.
    pub path: PathBuf,
    /// The places of the facts.
    pub sources: Vec<FactSource>,
    /// What consumer groups act upon, where that is not everything they read.
    pub consumes: Vec<Consumes>,
    /// What customers are told once an order has come to a state.
    pub tells: Vec<Tells>,
    /// What tells whether the system has come to rest.
    pub settled: Vec<Settled>,
    /// Statements that put products and stock in place, in order.
    pub products: Vec<Statement>,
    /// Statements that change the prices of products, in order.
    pub prices: Vec<Statement>,
}

/// One place that facts of one kind are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactSource {
    /// What is read.
    pub kind: FactKind,
    /// Where.
    pub place: Place,
}

/// Where facts are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A query whose columns are the fields of the fact.
    Sql(Statement),
    /// A JSON answer.
    Endpoint {
        /// Where it is asked for.
        endpoint: Endpoint,
        /// JSON pointer to the list of facts in the answer.
        list: String,
        /// Name in each element by field of the fact.
        fields: BTreeMap<String, String>,
    },
    /// The records of topics, from the beginning to the end.
    Messages {
        /// The topics, without the drill's prefix.
        topics: Vec<String>,
        /// JSON pointer into the payload by field of the fact.
        fields: BTreeMap<String, String>,
    },
    /// The records of dead-letter topics, from the beginning to the end.
    Parked {
        /// The topics, without the drill's prefix.
        topics: Vec<String>,
        /// Record header by field of the fact.
        headers: BTreeMap<String, String>,
    },
    /// How far a consumer group has read.
    Progress(GroupOfTopics),
}

/// SQL on the database of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The component.
    pub component: String,
    /// The SQL.
    pub sql: String,
}

/// A path on a component's port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The component; its first instance that answers is asked.
    pub component: String,
    /// The port.
    pub port: String,
    /// The path.
    pub path: String,
}

/// A consumer group and what it reads, both without the drill's prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOfTopics {
    /// The group.
    pub group: String,
    /// The topics.
    pub topics: Vec<String>,
}

/// Which kinds of messages a group acts upon in one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumes {
    /// The group, without the drill's prefix.
    pub group: String,
    /// The topic, without the drill's prefix.
    pub topic: String,
    /// The kinds.
    pub kinds: Vec<String>,
}

/// What customers are told once an order has come to a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tells {
    /// The group that tells it, without the drill's prefix.
    pub group: String,
    /// The state, and what is said.
    pub kind: String,
    /// Over which channels.
    pub channels: Vec<String>,
}

/// Something that is counted to tell whether the system has come to rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What is counted, in words.
    pub name: String,
    /// Whether work is still going on while it is not 0. What does not move and is not 0 when nothing else moves is stuck.
    pub moving: bool,
    /// How it is counted.
    pub count: Count,
}

/// How something outstanding is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Count {
    /// The one number that a query gives.
    Sql(Statement),
    /// Records that a consumer group has not committed.
    Lag(GroupOfTopics),
}

/// Something that keeps the system from being at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outstanding {
    /// What, in words.
    pub name: String,
    /// How much of it there is, more than 0.
    pub count: u64,
    /// Whether work is still going on as long as there is any.
    pub moving: bool,
}

impl std::fmt::Display for Outstanding {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}", self.count, self.name)
    }
}

/// The facts of one kind from one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What was read.
    pub kind: FactKind,
    /// Where, in words.
    pub source: String,
    /// What was read before the end, or before the error.
    pub facts: Vec<Fact>,
    /// Why it could not be read completely, if it could not.
    pub error: Option<String>,
}

impl Reading {
    /// The lines of a journal for it: the facts, then that they were observed at `at_us`.
    pub fn into_records(self, at_us: u64) -> impl Iterator<Item = Record> {
        let observed = Record::Observed {
            at_us,
            kind: self.kind,
            source: self.source,
            rows: self.facts.len() as u64,
            error: self.error,
        };
        self.facts.into_iter().map(Record::Fact).chain([observed])
    }
}

impl Observations {
    /// What the file says about consumer groups, as lines of a journal: what they act upon, and what they tell customers.
    pub fn group_records(&self) -> impl Iterator<Item = Record> + '_ {
        let consumes = self.consumes.iter().map(|one| Record::Consumes {
            group: one.group.clone(),
            topic: one.topic.clone(),
            kinds: one.kinds.clone(),
        });
        let tells = self.tells.iter().map(|one| Record::Tells {
            group: one.group.clone(),
            kind: one.kind.clone(),
            channels: one.channels.clone(),
        });
        consumes.chain(tells)
    }
}

impl Place {
    /// The place in words.
    pub fn words(&self) -> String {
        match self {
            Self::Sql(statement) => format!("{}, its database", statement.component),
            Self::Endpoint { endpoint, .. } => format!("{}, {}", endpoint.component, endpoint.path),
            Self::Messages { topics, .. } | Self::Parked { topics, .. } => {
                format!("topics {}", topics.join(", "))
            }
            Self::Progress(progress) => format!("group {}", progress.group),
        }
    }
}
