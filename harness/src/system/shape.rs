//! The shape of `observations.toml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// Where the facts about a system are read, what is outstanding, and how products are put in place.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "firedrill observations")]
pub(super) struct ObservationsShape {
    /// The places that facts are read from; one kind may be read from several.
    pub(super) observe: Vec<ObserveShape>,
    /// What consumer groups act upon, where that is not everything they read.
    #[serde(default)]
    pub(super) consumes: Vec<ConsumesShape>,
    /// What customers are told once an order has come to a state.
    #[serde(default)]
    pub(super) tells: Vec<TellsShape>,
    /// What is counted to tell whether the system has come to rest.
    pub(super) settled: Vec<SettledShape>,
    /// Statements that put things in place before a drill.
    #[serde(default)]
    pub(super) arrange: ArrangeShape,
}

/// One place that facts of one kind are read from: `sql`, or `path`, or `topics`, or a `group` and its `topics`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ObserveShape {
    /// What is read.
    #[schemars(extend("enum" = ["order", "order_line", "audit_entry", "charge", "refund", "provider_requests", "stock", "shown_stock", "stock_move", "message", "progress", "processed", "parked", "told", "dashboard_row", "dashboard_claim"]))]
    pub(super) fact: String,
    /// The component whose database or endpoint is read.
    pub(super) component: Option<String>,
    /// A query; its columns have the names of the fact's fields.
    pub(super) sql: Option<String>,
    /// The port of the endpoint; needed only where several ports speak HTTP in the clear.
    pub(super) port: Option<String>,
    /// The path of an endpoint that answers JSON.
    pub(super) path: Option<String>,
    /// JSON pointer to the list in the answer, `/charges`.
    pub(super) list: Option<String>,
    /// Where each field of the fact stands: a name in the list's elements, or a JSON pointer into a message's payload.
    pub(super) fields: Option<BTreeMap<String, String>>,
    /// Topics, without the drill's prefix.
    pub(super) topics: Option<Vec<String>>,
    /// Which header of a parked message holds each field of the fact.
    pub(super) headers: Option<BTreeMap<String, String>>,
    /// A consumer group, without the drill's prefix.
    pub(super) group: Option<String>,
}

/// Which kinds of messages a consumer group acts upon in one topic.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsumesShape {
    /// The group, without the drill's prefix.
    pub(super) group: String,
    /// The topic, without the drill's prefix.
    pub(super) topic: String,
    /// What those messages say, as in the field `kind` of the fact `message`.
    pub(super) kinds: Vec<String>,
}

/// What customers are told once an order has come to a state, and over which channels: once over each.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TellsShape {
    /// The consumer group that tells it, without the drill's prefix.
    pub(super) group: String,
    /// The state, and what is said, as in the field `kind` of the fact `told`.
    pub(super) kind: String,
    /// The channels, as in the field `channel` of the fact `told`.
    pub(super) channels: Vec<String>,
}

/// Something that is counted: `component` and `sql`, or a `group` and its `topics`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SettledShape {
    /// What is counted, in words: `orders not final`.
    pub(super) name: String,
    /// Whether work is going on as long as it is not 0.
    pub(super) moving: bool,
    /// The component whose database is asked.
    pub(super) component: Option<String>,
    /// A query that gives one number.
    pub(super) sql: Option<String>,
    /// A consumer group whose lag is counted, without the drill's prefix.
    pub(super) group: Option<String>,
    /// The topics that the group reads, without the drill's prefix.
    pub(super) topics: Option<Vec<String>>,
}

/// Statements that put things in place before a drill.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ArrangeShape {
    /// Products and their stock. The statements read them from the relation `arranged (product_id text, price_minor bigint,
    /// currency text, units bigint)`, which holds all of them at once.
    #[serde(default)]
    pub(super) products: Vec<StatementShape>,
    /// New prices of products that are there, read from the same relation.
    #[serde(default)]
    pub(super) prices: Vec<StatementShape>,
}

/// SQL on the database of a component.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatementShape {
    /// The component.
    pub(super) component: String,
    /// The SQL.
    pub(super) sql: String,
}
