//! One partition: the batches, the offsets, and who waits for more.

use super::batch::{BatchHeader, build_marker, place_batch};
use super::producers::{Producers, Verdict};
use super::record::find_by_time;
use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use std::collections::{HashMap, VecDeque};
use std::sync::Weak;
use tokio::sync::Notify;

/// A log of batches between `start` and `end`.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(super) batches: VecDeque<StoredBatch>,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) bytes: usize,
    producers: Producers,
    /// First offset of each producer's open transaction.
    open: HashMap<i64, i64>,
    pub(super) aborted: Vec<Aborted>,
    waiting: Vec<Weak<Notify>>,
}

/// A batch with what is needed to find it again.
#[derive(Debug)]
pub(crate) struct StoredBatch {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) base_timestamp: i64,
    pub(crate) compressed: bool,
    /// The producer if the batch belongs to a transaction.
    pub(crate) transaction_of: Option<i64>,
    /// It ends a transaction and holds no record for consumers.
    pub(crate) control: bool,
    pub(crate) bytes: Bytes,
    max_timestamp: i64,
    /// From when on its age counts: the newest time of its records, or when it was appended if they have none.
    pub(super) ages_from_ms: i64,
}

/// The span of an aborted transaction, marker included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// It was there already, at this offset.
    pub(crate) duplicate: bool,
}

/// What a fetch of one partition found.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) records: Bytes,
    /// Offset after the last record.
    pub(crate) end_offset: i64,
    pub(crate) aborted: Vec<Aborted>,
}

impl Partition {
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// Bytes of all batches.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first offset that an open transaction may still change; `end` without one.
    pub(crate) fn last_stable(&self) -> i64 {
        let open = self.open.values().copied().min();
        open.unwrap_or(self.end).max(self.start)
    }

    /// Appends one checked batch; a duplicate keeps the offset it had.
    pub(crate) fn append(
        &mut self,
        batch: &[u8],
        header: &BatchHeader,
        now_ms: i64,
    ) -> Result<Appended, ResponseError> {
        if header.producer_id >= 0
            && let Verdict::Duplicate(base_offset) = self.producers.judge(header)?
        {
            return Ok(Appended {
                base_offset,
                duplicate: true,
            });
        }
        let base_offset = self.push(BytesMut::from(batch), header, now_ms, false);
        if header.producer_id >= 0 {
            self.producers.remember(header, base_offset);
            if header.is_transactional() {
                self.open.entry(header.producer_id).or_insert(base_offset);
            }
        }
        self.wake();
        Ok(Appended {
            base_offset,
            duplicate: false,
        })
    }

    /// Ends the producer's transaction here, whether it wrote something or not, and refuses epochs before `epoch`.
    pub(crate) fn end_transaction(
        &mut self,
        timestamp: i64,
        producer_id: i64,
        epoch: i16,
        commit: bool,
    ) {
        self.producers.fence(producer_id, epoch);
        let first = self.open.remove(&producer_id);
        let header = BatchHeader {
            attributes: 0x30,
            record_count: 1,
            base_timestamp: timestamp,
            max_timestamp: timestamp,
            producer_id,
            producer_epoch: epoch,
            base_sequence: -1,
        };
        let last = self.push(
            build_marker(timestamp, producer_id, epoch, commit),
            &header,
            timestamp,
            true,
        );
        if let Some(first) = first
            && !commit
        {
            self.aborted.push(Aborted {
                producer_id,
                first,
                last,
            });
        }
        self.wake();
    }

    fn push(
        &mut self,
        mut bytes: BytesMut,
        header: &BatchHeader,
        now_ms: i64,
        control: bool,
    ) -> i64 {
        let first = self.end;
        place_batch(&mut bytes, first);
        self.end += i64::from(header.record_count);
        self.bytes += bytes.len();
        self.batches.push_back(StoredBatch {
            first,
            last: self.end - 1,
            base_timestamp: header.base_timestamp,
            max_timestamp: header.max_timestamp,
            ages_from_ms: if header.max_timestamp < 0 {
                now_ms
            } else {
                header.max_timestamp
            },
            compressed: header.is_compressed(),
            transaction_of: header.is_transactional().then_some(header.producer_id),
            control,
            bytes: bytes.freeze(),
        });
        first
    }

    /// Reads whole batches from `offset` up to `limit`: as many as fit into `max_bytes`, one at least if `one_at_least`.
    pub(crate) fn read(
        &self,
        offset: i64,
        limit: i64,
        max_bytes: usize,
        one_at_least: bool,
    ) -> Read {
        let mut bytes = BytesMut::new();
        let mut last = offset - 1;
        for batch in self.batches_from(offset) {
            let allowed = bytes.len() + batch.bytes.len() <= max_bytes;
            if batch.first >= limit || !(allowed || bytes.is_empty() && one_at_least) {
                break;
            }
            bytes.extend_from_slice(&batch.bytes);
            last = batch.last;
        }
        Read {
            records: bytes.freeze(),
            end_offset: last + 1,
            aborted: self.aborted_between(offset, last),
        }
    }

    /// The batches that hold `offset` and everything after it.
    pub(crate) fn batches_from(&self, offset: i64) -> impl Iterator<Item = &StoredBatch> {
        let first = self.batches.partition_point(|batch| batch.last < offset);
        self.batches.iter().skip(first)
    }

    /// The aborted transactions that touch `first..=last`.
    pub(crate) fn aborted_between(&self, first: i64, last: i64) -> Vec<Aborted> {
        let touches = |aborted: &&Aborted| aborted.last >= first && aborted.first <= last;
        self.aborted.iter().filter(touches).copied().collect()
    }

    /// Offset and time of the first record at or after `timestamp_ms`; exact, but for compressed batches, which count as a whole.
    pub(crate) fn find_by_time(&self, timestamp_ms: i64) -> Option<(i64, i64)> {
        self.batches
            .iter()
            .filter(|batch| batch.max_timestamp >= timestamp_ms)
            .find_map(|batch| {
                let skipped = (self.start - batch.first).max(0);
                if batch.compressed {
                    return Some((batch.first + skipped, batch.max_timestamp));
                }
                let (delta, time) =
                    find_by_time(&batch.bytes, batch.base_timestamp, timestamp_ms, skipped)?;
                Some((batch.first + delta, time))
            })
    }

    /// Wakes `waiter` at the next change of this partition.
    pub(crate) fn watch(&mut self, waiter: &Weak<Notify>) {
        self.waiting.retain(|known| known.strong_count() > 0);
        if !self.waiting.iter().any(|known| known.ptr_eq(waiter)) {
            self.waiting.push(waiter.clone());
        }
    }

    /// Wakes everyone who waits for a change here.
    pub(crate) fn wake(&mut self) {
        for waiter in self.waiting.drain(..) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::build_batch;
    use super::*;

    fn append(partition: &mut Partition, timestamp: i64) -> usize {
        let batch = build_batch(timestamp, None, Some(b"value"), &[]);
        let header = BatchHeader::parse(&batch).expect("own batch");
        partition.append(&batch, &header, 0).expect("append");
        batch.len()
    }

    #[test]
    fn a_read_returns_whole_batches_within_its_bounds() {
        let mut partition = Partition::default();
        let size = append(&mut partition, 1);
        for _ in 0..4 {
            append(&mut partition, 1);
        }
        assert_eq!(
            partition.read(1, 5, size * 2, false).records.len(),
            size * 2
        );
        assert_eq!(partition.read(1, 5, 1, true).records.len(), size);
        assert_eq!(partition.read(1, 5, 1, false).records.len(), 0);
        assert_eq!(partition.read(1, 2, usize::MAX, true).records.len(), size);
    }

    #[test]
    fn an_offset_is_found_by_time() {
        let mut partition = Partition::default();
        for timestamp in [10, 20, 30] {
            append(&mut partition, timestamp);
        }
        assert_eq!(partition.find_by_time(0), Some((0, 10)));
        assert_eq!(partition.find_by_time(11), Some((1, 20)));
        assert_eq!(partition.find_by_time(31), None);
    }

    #[test]
    fn a_watcher_is_woken_once_by_an_append() {
        let mut partition = Partition::default();
        let waiter = std::sync::Arc::new(Notify::new());
        partition.watch(&std::sync::Arc::downgrade(&waiter));
        partition.watch(&std::sync::Arc::downgrade(&waiter));
        assert_eq!(partition.waiting.len(), 1);
        append(&mut partition, 1);
        assert!(partition.waiting.is_empty());
    }
}
