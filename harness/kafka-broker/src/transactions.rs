//! Transactional producers: identity and fencing, what a transaction touches, commit, abort, time-out.

use crate::cluster::{Models, now_ms};
use crate::groups::Committed;
use kafka_protocol::error::ResponseError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// All transactional ids, and the producer ids given out.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    by_id: HashMap<String, Transaction>,
    last_producer_id: i64,
}

#[derive(Debug)]
struct Transaction {
    producer: Producer,
    timeout: Duration,
    state: TransactionState,
    partitions: BTreeSet<(String, i32)>,
    groups: BTreeSet<String>,
    /// By group, topic and partition; the last one counts.
    offsets: BTreeMap<(String, String, i32), Committed>,
}

/// A producer id and its epoch; of one id only the newest epoch may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TransactionState {
    /// None was begun.
    Empty,
    /// It is open and times out at this moment.
    Open(Instant),
    /// The last one ended so; the same end may be asked for again.
    Ended { committed: bool },
}

/// An offset that becomes the group's when the transaction commits.
#[derive(Clone, Debug)]
pub(crate) struct PendingOffset {
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) committed: Committed,
}

impl Transactions {
    /// A new producer id.
    pub(crate) fn new_producer(&mut self) -> Producer {
        self.last_producer_id += 1;
        Producer {
            id: self.last_producer_id,
            epoch: 0,
        }
    }

    /// The transaction of this id if `producer` is its current one.
    fn current(&mut self, id: &str, producer: Producer) -> Result<&mut Transaction, ResponseError> {
        let transaction = self
            .by_id
            .get_mut(id)
            .filter(|transaction| transaction.producer.id == producer.id)
            .ok_or(ResponseError::InvalidProducerIdMapping)?;
        if transaction.producer.epoch != producer.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        Ok(transaction)
    }

    /// Adds a partition to the transaction, which is open from then on.
    pub(crate) fn add_partition(
        &mut self,
        id: &str,
        producer: Producer,
        partition: (String, i32),
        now: Instant,
    ) -> Result<(), ResponseError> {
        let transaction = self.current(id, producer)?;
        transaction.open(now);
        transaction.partitions.insert(partition);
        Ok(())
    }

    /// Adds a group whose offsets the transaction will commit.
    pub(crate) fn add_group(
        &mut self,
        id: &str,
        producer: Producer,
        group: &str,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let transaction = self.current(id, producer)?;
        transaction.open(now);
        transaction.groups.insert(group.to_owned());
        Ok(())
    }

    /// Whether the producer may commit offsets of this group in its open transaction.
    pub(crate) fn check_group(
        &mut self,
        id: &str,
        producer: Producer,
        group: &str,
    ) -> Result<(), ResponseError> {
        let transaction = self.current(id, producer)?;
        if transaction.is_open() && transaction.groups.contains(group) {
            Ok(())
        } else {
            Err(ResponseError::InvalidTxnState)
        }
    }

    /// Keeps an offset for the commit; call `check_group` first.
    pub(crate) fn add_offset(
        &mut self,
        id: &str,
        producer: Producer,
        offset: PendingOffset,
    ) -> Result<(), ResponseError> {
        let key = (offset.group, offset.topic, offset.partition);
        let offsets = &mut self.current(id, producer)?.offsets;
        offsets.insert(key, offset.committed);
        Ok(())
    }

    /// Whether a transactional batch may be appended: the producer is current and has added the partition.
    pub(crate) fn check_append(
        &mut self,
        id: &str,
        producer: Producer,
        partition: (&str, i32),
    ) -> Result<(), ResponseError> {
        let transaction = self.current(id, producer).map_err(|error| match error {
            ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
            other => other,
        })?;
        let added = |known: &(String, i32)| (known.0.as_str(), known.1) == partition;
        if transaction.is_open() && transaction.partitions.iter().any(added) {
            Ok(())
        } else {
            Err(ResponseError::InvalidTxnState)
        }
    }

    /// Whether an open transaction may still change this committed offset.
    pub(crate) fn is_unstable(&self, group: &str, topic: &str, partition: i32) -> bool {
        let key = (group.to_owned(), topic.to_owned(), partition);
        self.by_id
            .values()
            .any(|transaction| transaction.offsets.contains_key(&key))
    }

    /// When the next open transaction times out.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_id.values().filter_map(Transaction::times_out).min()
    }
}

impl Transaction {
    fn open(&mut self, now: Instant) {
        if !self.is_open() {
            self.state = TransactionState::Open(now + self.timeout);
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.state, TransactionState::Open(_))
    }

    fn times_out(&self) -> Option<Instant> {
        match self.state {
            TransactionState::Open(deadline) => Some(deadline),
            _ => None,
        }
    }
}

/// The calls that touch topics and groups besides the transactions.
impl Models {
    /// Gives a transactional producer its id and a new epoch, which fences every producer before it and aborts what it left open.
    ///
    /// `expected` is the identity that the producer believes it has, when it asks for a new epoch itself.
    pub(crate) fn init_transactional(
        &mut self,
        id: &str,
        timeout: Duration,
        expected: Option<Producer>,
        most_ids: usize,
    ) -> Result<Producer, ResponseError> {
        if !self.transactions.by_id.contains_key(id) {
            if self.transactions.by_id.len() >= most_ids {
                tracing::warn!(transactional_id = %id, limit = most_ids, "producer refused: the broker's limit of transactional ids is reached");
                return Err(ResponseError::PolicyViolation);
            }
            let producer = self.transactions.new_producer();
            self.transactions.by_id.insert(
                id.to_owned(),
                Transaction {
                    producer: Producer {
                        epoch: -1,
                        ..producer
                    },
                    timeout,
                    state: TransactionState::Empty,
                    partitions: BTreeSet::new(),
                    groups: BTreeSet::new(),
                    offsets: BTreeMap::new(),
                },
            );
        } else if let Some(expected) = expected {
            self.transactions.current(id, expected)?;
        }
        self.fence_and_abort(id);
        let transaction = self
            .transactions
            .by_id
            .get_mut(id)
            .ok_or(ResponseError::UnknownServerError)?;
        transaction.timeout = timeout;
        transaction.state = TransactionState::Empty;
        Ok(transaction.producer)
    }

    /// Ends a transaction as its producer asks.
    pub(crate) fn end_transaction(
        &mut self,
        id: &str,
        producer: Producer,
        commit: bool,
    ) -> Result<(), ResponseError> {
        match self.transactions.current(id, producer)?.state {
            TransactionState::Open(_) => {
                self.finish(id, commit);
                Ok(())
            }
            TransactionState::Ended { committed } if committed == commit => Ok(()),
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// Aborts the transactions whose time is over and fences their producers.
    pub(crate) fn expire_transactions(&mut self, now: Instant) {
        let overdue = |transaction: &Transaction| {
            transaction
                .times_out()
                .is_some_and(|deadline| deadline <= now)
        };
        let ids: Vec<String> = self
            .transactions
            .by_id
            .iter()
            .filter(|(_, transaction)| overdue(transaction))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            tracing::info!(transactional_id = %id, "transaction aborted: it timed out");
            self.fence_and_abort(&id);
        }
    }

    /// Raises the epoch; an open transaction is aborted under the new one.
    fn fence_and_abort(&mut self, id: &str) {
        let Some(transaction) = self.transactions.by_id.get_mut(id) else {
            return;
        };
        let open = transaction.is_open();
        let next = transaction.producer.epoch.checked_add(1);
        if let Some(epoch) = next {
            transaction.producer.epoch = epoch;
        }
        if open {
            self.finish(id, false);
        }
        if next.is_none() {
            // All epochs are used up: go on under a new producer id.
            let fresh = self.transactions.new_producer();
            if let Some(transaction) = self.transactions.by_id.get_mut(id) {
                transaction.producer = fresh;
            }
        }
    }

    fn finish(&mut self, id: &str, commit: bool) {
        let Some(transaction) = self.transactions.by_id.get_mut(id) else {
            return;
        };
        let producer = transaction.producer;
        let partitions = std::mem::take(&mut transaction.partitions);
        let offsets = std::mem::take(&mut transaction.offsets);
        transaction.groups.clear();
        transaction.state = TransactionState::Ended { committed: commit };
        for (topic, partition) in partitions {
            let ended = (producer.id, producer.epoch);
            self.topics
                .end_transaction((&topic, partition), now_ms(), ended, commit);
        }
        if commit {
            for ((group, topic, partition), committed) in offsets {
                self.commit(&group, &topic, partition, committed);
            }
        }
    }
}
