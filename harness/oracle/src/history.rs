//! A history: what a drill recorded, taken in one record at a time and kept compactly.

mod intake;

use std::collections::BTreeMap;

use crate::memory::{MemorySample, RESIDENT_MEMORY};
use crate::names::{
    Charges, Groups, Intents, Key, Messages, Names, Orders, Products, Topics, Words,
};
use crate::record::{DrillHeader, Expectation, FactKind, JOURNAL_SCHEMA, Record, Settlement};
use crate::row::{
    AuditRow, ChargeRow, ClaimRow, ConsumesRow, DashboardRow, FaultRow, LineRow, LookRow,
    MessageRow, MoveRow, OperationRow, OrderRow, ParkedRow, Place, ProcessedRow, ProgressRow,
    Quantity, RefundRow, RequestsRow, ShownRow, StockRow, TellsRow, ToldRow,
};

/// A journal with more records than this is not judged.
pub const RECORDS_LIMIT: u64 = 100_000_000;

/// How many flaws of a journal are kept word for word.
const FLAWS_KEPT: usize = 10;

/// The ordered record of a drill: operations, faults, and what was observed at the end.
#[derive(Debug, Default)]
pub struct History {
    header: Option<DrillHeader>,
    records: u64,
    facts: u64,
    closed: bool,
    flaws: Vec<String>,
    pub(crate) names: AllNames,
    pub(crate) rows: Rows,
    pub(crate) faults: Vec<FaultRow>,
    pub(crate) felt: Vec<FeltRow>,
    pub(crate) trusted: Vec<TrustedRow>,
    pub(crate) healing_errors: Vec<String>,
    pub(crate) harness_errors: Vec<String>,
    pub(crate) settled: Option<(Settlement, Vec<String>)>,
    pub(crate) expectations: Vec<Expectation>,
    /// Samples of what instances held in RAM, by instance.
    pub(crate) memory: BTreeMap<String, Vec<MemorySample>>,
    observed: [Observation; FactKind::ALL.len()],
}

/// Every set of names.
#[derive(Debug, Default)]
pub(crate) struct AllNames {
    pub(crate) orders: Names<Orders>,
    pub(crate) intents: Names<Intents>,
    pub(crate) products: Names<Products>,
    pub(crate) charges: Names<Charges>,
    pub(crate) messages: Names<Messages>,
    pub(crate) topics: Names<Topics>,
    pub(crate) groups: Names<Groups>,
    pub(crate) words: Names<Words>,
    /// The currency of the charges, if all name the same.
    pub(crate) currency: Option<Key<Words>>,
    currencies_differ: bool,
}

/// The rows of every kind, each in the order of the journal.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) operations: Vec<OperationRow>,
    pub(crate) operation_lines: Vec<Quantity>,
    pub(crate) looks: Vec<LookRow>,
    pub(crate) orders: Vec<OrderRow>,
    pub(crate) lines: Vec<LineRow>,
    pub(crate) audit: Vec<AuditRow>,
    pub(crate) charges: Vec<ChargeRow>,
    pub(crate) refunds: Vec<RefundRow>,
    pub(crate) requests: Vec<RequestsRow>,
    pub(crate) stock: Vec<StockRow>,
    pub(crate) shown: Vec<ShownRow>,
    pub(crate) moves: Vec<MoveRow>,
    pub(crate) messages: Vec<MessageRow>,
    pub(crate) progress: Vec<ProgressRow>,
    pub(crate) processed: Vec<ProcessedRow>,
    pub(crate) parked: Vec<ParkedRow>,
    pub(crate) dashboard: Vec<DashboardRow>,
    pub(crate) claims: Vec<ClaimRow>,
    pub(crate) consumes: Vec<ConsumesRow>,
    pub(crate) told: Vec<ToldRow>,
    pub(crate) tells: Vec<TellsRow>,
}

/// How often somebody believed what a fault showed, each time that it was in force.
#[derive(Debug)]
pub(crate) struct TrustedRow {
    pub(crate) fault: String,
    pub(crate) count: u64,
}

/// What one witness had counted of one fault when it was last asked.
#[derive(Debug)]
pub(crate) struct FeltRow {
    pub(crate) fault: String,
    pub(crate) witness: String,
    pub(crate) count: u64,
    pub(crate) at_least: u64,
}

/// What is known about the reading of one kind of fact.
#[derive(Debug, Default)]
struct Observation {
    readings: u64,
    rows_promised: u64,
    rows_met: u64,
    error: Option<String>,
}

impl History {
    /// A history without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// A history of these records, in their order.
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Self {
        let mut history = Self::new();
        for record in records {
            history.push(record);
        }
        history
    }

    /// What was drilled, if the journal said so.
    pub fn header(&self) -> Option<&DrillHeader> {
        self.header.as_ref()
    }

    /// How many records were taken in.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What makes this history unfit to be judged, in words; empty for a complete one.
    pub fn flaws(&self) -> Vec<String> {
        let mut flaws = self.flaws.clone();
        if self.header.is_none() {
            flaws.push("the journal does not begin with what was drilled".to_owned());
        }
        if !self.closed {
            flaws.push("the journal is incomplete: its last line is missing".to_owned());
        }
        for kind in FactKind::ALL {
            let seen = &self.observed[kind as usize];
            if seen.readings > 0 && seen.error.is_none() && seen.rows_met != seen.rows_promised {
                flaws.push(format!(
                    "the journal holds {} {} where {} were read",
                    seen.rows_met,
                    kind.words(),
                    seen.rows_promised
                ));
            }
        }
        flaws
    }

    /// Why nothing can be concluded from the absence of this kind of fact; none when it was read completely.
    pub fn not_observed(&self, kind: FactKind) -> Option<String> {
        let seen = &self.observed[kind as usize];
        match &seen.error {
            Some(error) => Some(format!("{} could not be read: {error}", kind.words())),
            None if seen.readings == 0 => Some(format!("{} were not observed", kind.words())),
            None => None,
        }
    }

    /// Takes in the next record.
    pub fn push(&mut self, record: Record) {
        self.records += 1;
        if self.records > RECORDS_LIMIT {
            if self.records == RECORDS_LIMIT + 1 {
                self.flaw(format!("the journal has more than {RECORDS_LIMIT} records"));
            }
            return;
        }
        if self.closed {
            self.flaw("the journal goes on after its last line".to_owned());
        }
        match record {
            Record::Drill(header) => self.begin(header),
            Record::Sample {
                at_us,
                source,
                metric,
                value,
            } if metric == RESIDENT_MEMORY => {
                let samples = self.memory.entry(source).or_default();
                samples.push(MemorySample {
                    at_us,
                    bytes: value,
                });
            }
            Record::Phase { .. } | Record::Sample { .. } => {}
            Record::Operation(operation) => self.push_operation(&operation),
            Record::Look(look) => self.push_look(&look),
            Record::FaultStarted {
                at_us,
                fault,
                target,
                ..
            } => self.faults.push(FaultRow {
                fault,
                target,
                started_us: at_us,
                healed_us: None,
            }),
            Record::FaultFelt {
                fault,
                witness,
                count,
                at_least,
                ..
            } => self.push_felt(fault, witness, count, at_least),
            Record::FaultTrusted { fault, count, .. } => {
                self.trusted.push(TrustedRow { fault, count });
            }
            Record::FaultHealed {
                at_us,
                fault,
                error,
            } => self.push_healed(at_us, &fault, error),
            Record::Settled {
                outcome,
                outstanding,
                ..
            } => self.settled = Some((outcome, outstanding)),
            Record::Consumes {
                group,
                topic,
                kinds,
            } => {
                let row = ConsumesRow {
                    group: self.names.groups.key(&group),
                    topic: self.names.topics.key(&topic),
                    kinds: kinds
                        .iter()
                        .map(|kind| self.names.words.key(kind))
                        .collect(),
                };
                self.rows.consumes.push(row);
            }
            Record::Tells {
                group,
                kind,
                channels,
            } => {
                let words = &mut self.names.words;
                let row = TellsRow {
                    group: self.names.groups.key(&group),
                    kind: words.key(&kind),
                    channels: channels.iter().map(|channel| words.key(channel)).collect(),
                };
                self.rows.tells.push(row);
            }
            Record::Fact(fact) => {
                self.facts += 1;
                self.observed[fact.kind() as usize].rows_met += 1;
                self.push_fact(&fact);
            }
            Record::Observed {
                kind,
                source,
                rows,
                error,
                ..
            } => {
                let seen = &mut self.observed[kind as usize];
                seen.readings += 1;
                seen.rows_promised += rows;
                if let Some(error) = error {
                    seen.error.get_or_insert(format!("{source}: {error}"));
                }
            }
            Record::Expectation(expectation) => self.expectations.push(expectation),
            Record::HarnessError { message, .. } => self.harness_errors.push(message),
            Record::Closed { facts, .. } => self.close(facts),
        }
    }

    pub(crate) fn note_cut_line(&mut self) {
        self.flaw("the journal's last line was cut off".to_owned());
    }

    fn flaw(&mut self, flaw: String) {
        if self.flaws.len() < FLAWS_KEPT && !self.flaws.contains(&flaw) {
            self.flaws.push(flaw);
        }
    }

    fn begin(&mut self, header: DrillHeader) {
        if header.schema != JOURNAL_SCHEMA {
            self.flaw(format!(
                "the journal has schema {}, this version reads schema {JOURNAL_SCHEMA}",
                header.schema
            ));
        }
        if self.header.is_some() {
            self.flaw("the journal begins twice".to_owned());
        } else if self.records > 1 {
            self.flaw("the journal does not begin with what was drilled".to_owned());
        }
        self.header = Some(header);
    }

    fn close(&mut self, facts: u64) {
        self.closed = true;
        if facts != self.facts {
            self.flaw(format!(
                "the journal holds {} facts where {facts} were written",
                self.facts
            ));
        }
    }

    fn push_felt(&mut self, fault: String, witness: String, count: u64, at_least: u64) {
        match self
            .felt
            .iter_mut()
            .find(|row| row.fault == fault && row.witness == witness)
        {
            Some(row) => (row.count, row.at_least) = (count, at_least),
            None => self.felt.push(FeltRow {
                fault,
                witness,
                count,
                at_least,
            }),
        }
    }

    fn push_healed(&mut self, at_us: u64, fault: &str, error: Option<String>) {
        if let Some(row) = self
            .faults
            .iter_mut()
            .find(|row| row.fault == fault && row.healed_us.is_none())
        {
            row.healed_us = Some(at_us);
        }
        if let Some(error) = error {
            self.healing_errors.push(format!(
                "the fault \"{fault}\" could not be healed: {error}"
            ));
        }
    }
}

impl AllNames {
    fn quantity(&mut self, product: &str, units: i64) -> Quantity {
        Quantity {
            product: self.products.key(product),
            units,
        }
    }

    fn place(&mut self, topic: &str, partition: i32, offset: i64) -> Place {
        Place {
            topic: self.topics.key(topic),
            partition,
            offset,
        }
    }

    fn note_currency(&mut self, currency: Option<&str>) {
        let Some(currency) = currency else { return };
        let key = self.words.key(currency);
        match self.currency {
            None if !self.currencies_differ => self.currency = Some(key),
            Some(other) if other != key => {
                self.currency = None;
                self.currencies_differ = true;
            }
            _ => {}
        }
    }
}
