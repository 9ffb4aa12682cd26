//! What a partition lets go: by size, by age, and on request.

use super::partition::Partition;
use kafka_protocol::error::ResponseError;

impl Partition {
    /// Drops the oldest batches until no more than `limit` bytes are left; the newest batch always stays.
    pub(super) fn retain_bytes(&mut self, limit: usize) {
        while self.bytes > limit && self.batches.len() > 1 {
            let Some(last) = self.batches.front().map(|batch| batch.last) else {
                return;
            };
            self.drop_before(last + 1);
        }
    }

    /// Drops the oldest batches up to the first that is younger than `kept_ms`.
    pub(super) fn retain_age(&mut self, kept_ms: i64, now_ms: i64) {
        let oldest = now_ms.saturating_sub(kept_ms);
        let expired = self
            .batches
            .iter()
            .take_while(|batch| batch.ages_from_ms <= oldest)
            .last();
        if let Some(last) = expired.map(|batch| batch.last) {
            self.drop_before(last + 1);
        }
    }

    /// From when on the age of the oldest batch counts, in milliseconds since the epoch.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.batches.front().map(|batch| batch.ages_from_ms)
    }

    /// Deletes the records before an offset, or with -1 all of them, and returns the new start.
    pub(super) fn delete_before(&mut self, offset: i64) -> Result<i64, ResponseError> {
        let offset = if offset == -1 { self.end } else { offset };
        if offset < 0 || offset > self.end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        if offset > self.start {
            self.drop_before(offset);
            self.wake();
        }
        Ok(self.start)
    }

    /// Moves the start and lets go of the batches that lie before it as a whole.
    fn drop_before(&mut self, start: i64) {
        self.start = start;
        while self.batches.front().is_some_and(|batch| batch.last < start) {
            if let Some(dropped) = self.batches.pop_front() {
                self.bytes -= dropped.bytes.len();
            }
        }
        self.aborted.retain(|aborted| aborted.last >= start);
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{BatchHeader, build_batch};
    use super::*;

    fn append(partition: &mut Partition, timestamp: i64) -> usize {
        let batch = build_batch(timestamp, None, Some(b"value"), &[]);
        let header = BatchHeader::parse(&batch).expect("own batch");
        partition.append(&batch, &header, 0).expect("append");
        batch.len()
    }

    fn first(partition: &Partition) -> Option<i64> {
        partition.batches_from(0).next().map(|batch| batch.first)
    }

    #[test]
    fn retention_drops_the_oldest_batches_and_moves_the_start() {
        let mut partition = Partition::default();
        let size = append(&mut partition, 1);
        for _ in 0..9 {
            append(&mut partition, 1);
            partition.retain_bytes(size * 3);
        }
        assert_eq!((partition.start(), partition.end()), (7, 10));
        assert_eq!(first(&partition), Some(7));
        assert_eq!(partition.bytes(), size * 3);
    }

    #[test]
    fn old_batches_go_up_to_the_first_young_one() {
        let mut partition = Partition::default();
        for timestamp in [10, 20, 60, 30] {
            append(&mut partition, timestamp);
        }
        partition.retain_age(50, 59);
        assert_eq!((partition.start(), first(&partition)), (0, Some(0)));
        partition.retain_age(50, 90);
        assert_eq!((partition.start(), first(&partition)), (2, Some(2)));
        assert_eq!(partition.oldest_ms(), Some(60));
    }

    #[test]
    fn records_are_deleted_up_to_an_offset_inside_the_partition() {
        let mut partition = Partition::default();
        for timestamp in [10, 20, 30] {
            append(&mut partition, timestamp);
        }
        assert_eq!(partition.delete_before(2), Ok(2));
        assert_eq!(partition.delete_before(1), Ok(2), "nothing comes back");
        assert_eq!(partition.find_by_time(0), Some((2, 30)));
        for outside in [4, -2] {
            assert_eq!(
                partition.delete_before(outside),
                Err(ResponseError::OffsetOutOfRange)
            );
        }
        assert_eq!(partition.delete_before(-1), Ok(3));
        assert_eq!((partition.bytes(), partition.last_stable()), (0, 3));
    }
}
