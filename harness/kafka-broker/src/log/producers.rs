//! What a partition remembers of idempotent producers: Kafka's rules for duplicates and gaps.

use super::batch::{BatchHeader, advance_sequence};
use kafka_protocol::error::ResponseError;
use std::collections::{BTreeMap, VecDeque};

/// Batches remembered of each producer, as in Kafka; a client may have no more than five in flight.
const REMEMBERED_BATCHES: usize = 5;
/// Most producers remembered; beyond them the oldest id is forgotten (Kafka forgets a producer after a day).
const REMEMBERED_PRODUCERS: usize = 50_000;

/// The producers that wrote to one partition.
#[derive(Debug, Default)]
pub(super) struct Producers {
    /// Ids are given out in rising order, so that the first is the oldest.
    by_id: BTreeMap<i64, Producer>,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: i16,
    recent: VecDeque<Appended>,
}

#[derive(Debug)]
struct Appended {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

/// What is to be done with a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is new.
    Append,
    /// It was appended before, at this offset, and its answer must have been lost.
    Duplicate(i64),
}

impl Producers {
    /// Judges a batch of an idempotent producer by its epoch and sequence numbers.
    pub(super) fn judge(&self, batch: &BatchHeader) -> Result<Verdict, ResponseError> {
        let Some(producer) = self.by_id.get(&batch.producer_id) else {
            return Ok(Verdict::Append);
        };
        if batch.producer_epoch < producer.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if batch.producer_epoch > producer.epoch {
            return if batch.base_sequence == 0 {
                Ok(Verdict::Append)
            } else {
                Err(ResponseError::OutOfOrderSequenceNumber)
            };
        }
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        let seen = producer
            .recent
            .iter()
            .find(|seen| seen.first_sequence == first && seen.last_sequence == last);
        if let Some(seen) = seen {
            return Ok(Verdict::Duplicate(seen.base_offset));
        }
        match producer.recent.back() {
            Some(previous) if advance_sequence(previous.last_sequence, 1) != first => {
                Err(ResponseError::OutOfOrderSequenceNumber)
            }
            _ => Ok(Verdict::Append),
        }
    }

    /// Remembers an appended batch.
    pub(super) fn remember(&mut self, batch: &BatchHeader, base_offset: i64) {
        let producer = self.raise_epoch(batch.producer_id, batch.producer_epoch);
        producer.recent.push_back(Appended {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset,
        });
        if producer.recent.len() > REMEMBERED_BATCHES {
            producer.recent.pop_front();
        }
    }

    /// Refuses all batches of older epochs from now on.
    pub(super) fn fence(&mut self, producer_id: i64, epoch: i16) {
        self.raise_epoch(producer_id, epoch);
    }

    fn raise_epoch(&mut self, producer_id: i64, epoch: i16) -> &mut Producer {
        if self.by_id.len() >= REMEMBERED_PRODUCERS && !self.by_id.contains_key(&producer_id) {
            self.by_id.pop_first();
        }
        let producer = self.by_id.entry(producer_id).or_default();
        if epoch > producer.epoch {
            producer.epoch = epoch;
            producer.recent.clear();
        }
        producer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, base_sequence: i32, record_count: i32) -> BatchHeader {
        BatchHeader {
            attributes: 0,
            record_count,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: 1,
            producer_epoch: epoch,
            base_sequence,
        }
    }

    fn append(producers: &mut Producers, batch: &BatchHeader, at: i64) {
        assert_eq!(producers.judge(batch), Ok(Verdict::Append));
        producers.remember(batch, at);
    }

    #[test]
    fn a_repeated_batch_is_a_duplicate_at_its_first_offset() {
        let mut producers = Producers::default();
        append(&mut producers, &batch(0, 0, 3), 100);
        append(&mut producers, &batch(0, 3, 2), 200);
        assert_eq!(
            producers.judge(&batch(0, 0, 3)),
            Ok(Verdict::Duplicate(100))
        );
        assert_eq!(
            producers.judge(&batch(0, 3, 2)),
            Ok(Verdict::Duplicate(200))
        );
    }

    #[test]
    fn gaps_and_overlaps_are_out_of_order() {
        let mut producers = Producers::default();
        append(&mut producers, &batch(0, 0, 3), 0);
        for wrong in [batch(0, 4, 1), batch(0, 1, 2), batch(0, 0, 2)] {
            assert_eq!(
                producers.judge(&wrong),
                Err(ResponseError::OutOfOrderSequenceNumber)
            );
        }
    }

    #[test]
    fn only_five_batches_are_remembered() {
        let mut producers = Producers::default();
        for sequence in 0..6 {
            append(&mut producers, &batch(0, sequence, 1), i64::from(sequence));
        }
        assert_eq!(producers.judge(&batch(0, 1, 1)), Ok(Verdict::Duplicate(1)));
        assert_eq!(
            producers.judge(&batch(0, 0, 1)),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
    }

    #[test]
    fn a_newer_epoch_starts_at_zero_and_shuts_the_older_out() {
        let mut producers = Producers::default();
        append(&mut producers, &batch(0, 0, 1), 0);
        assert_eq!(
            producers.judge(&batch(1, 1, 1)),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
        append(&mut producers, &batch(1, 0, 1), 1);
        assert_eq!(
            producers.judge(&batch(0, 1, 1)),
            Err(ResponseError::InvalidProducerEpoch)
        );
        producers.fence(1, 2);
        assert_eq!(
            producers.judge(&batch(1, 1, 1)),
            Err(ResponseError::InvalidProducerEpoch)
        );
    }

    #[test]
    fn sequences_continue_after_the_wrap() {
        let mut producers = Producers::default();
        append(&mut producers, &batch(0, i32::MAX - 1, 2), 0);
        append(&mut producers, &batch(0, 0, 1), 2);
    }
}
