//! The header of a record batch (format 2), and the batches that the broker writes itself.

use super::record::{RecordHeader, count_records, write_record};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;

/// Bytes before the first record of a batch.
pub(super) const HEADER_BYTES: usize = 61;
/// Offset and length fields, which the length field does not count.
const UNCOUNTED_BYTES: usize = 12;
/// The first byte that the checksum covers.
const CHECKED_FROM: usize = 21;
const FORMAT: u8 = 2;

const COMPRESSION: i16 = 0x07;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// What the header of a batch says; offsets are assigned by the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) attributes: i16,
    pub(crate) record_count: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
}

impl BatchHeader {
    /// Reads and checks exactly one batch: length, format, checksum, and the record count where it can be counted.
    pub(crate) fn parse(batch: &[u8]) -> Result<Self, ResponseError> {
        // As in Kafka, what ends before the batch does is no batch at all.
        let Some(length) = batch.get(8..UNCOUNTED_BYTES) else {
            return Err(ResponseError::InvalidRecord);
        };
        let counted =
            usize::try_from(i32_at(length, 0)).map_err(|_| ResponseError::CorruptMessage)?;
        if counted + UNCOUNTED_BYTES != batch.len() {
            return Err(ResponseError::InvalidRecord);
        }
        if batch.len() < HEADER_BYTES {
            return Err(ResponseError::CorruptMessage);
        }
        if batch[16] != FORMAT {
            return Err(ResponseError::UnsupportedForMessageFormat);
        }
        if crc32c::crc32c(&batch[CHECKED_FROM..]).to_be_bytes() != batch[17..CHECKED_FROM] {
            return Err(ResponseError::CorruptMessage);
        }
        let header = Self {
            attributes: i16_at(batch, 21),
            record_count: i32_at(batch, 57),
            base_timestamp: i64_at(batch, 27),
            max_timestamp: i64_at(batch, 35),
            producer_id: i64_at(batch, 43),
            producer_epoch: i16_at(batch, 51),
            base_sequence: i32_at(batch, 53),
        };
        header.check(i32_at(batch, 23), &batch[HEADER_BYTES..])?;
        Ok(header)
    }

    fn check(&self, last_offset_delta: i32, records: &[u8]) -> Result<(), ResponseError> {
        let counts_agree = self.record_count > 0 && last_offset_delta == self.record_count - 1;
        let sequence_missing =
            self.producer_id >= 0 && (self.base_sequence < 0 || self.producer_epoch < 0);
        if !counts_agree || sequence_missing || self.is_control() {
            return Err(ResponseError::InvalidRecord);
        }
        if !self.is_compressed() && count_records(records) != Some(self.record_count) {
            return Err(ResponseError::InvalidRecord);
        }
        Ok(())
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.attributes & COMPRESSION != 0
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// The sequence number of the last record.
    pub(super) fn last_sequence(&self) -> i32 {
        advance_sequence(self.base_sequence, self.record_count - 1)
    }
}

/// Sequence numbers wrap from `i32::MAX` to 0.
pub(super) fn advance_sequence(sequence: i32, by: i32) -> i32 {
    ((i64::from(sequence) + i64::from(by)) % (i64::from(i32::MAX) + 1)) as i32
}

/// Writes base offset and leader epoch into a batch; neither is under the checksum.
pub(super) fn place_batch(batch: &mut [u8], base_offset: i64) {
    batch[0..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[12..16].copy_from_slice(&0_i32.to_be_bytes());
}

/// A batch of one record, from no producer.
pub(crate) fn build_batch(
    timestamp: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[RecordHeader],
) -> Bytes {
    let mut record = BytesMut::new();
    write_record(&mut record, key, value, headers);
    assemble(0, timestamp, -1, -1, -1, &record).freeze()
}

/// The control batch that ends a transaction in a partition.
pub(super) fn build_marker(
    timestamp: i64,
    producer_id: i64,
    producer_epoch: i16,
    commit: bool,
) -> BytesMut {
    let mut key = BytesMut::with_capacity(4);
    key.put_i16(0);
    key.put_i16(i16::from(commit));
    let mut value = BytesMut::with_capacity(6);
    value.put_i16(0);
    value.put_i32(0);
    let mut record = BytesMut::new();
    write_record(&mut record, Some(&key), Some(&value), &[]);
    assemble(
        TRANSACTIONAL | CONTROL,
        timestamp,
        producer_id,
        producer_epoch,
        -1,
        &record,
    )
}

/// A batch around one encoded record.
fn assemble(
    attributes: i16,
    timestamp: i64,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    record: &[u8],
) -> BytesMut {
    let mut checked = BytesMut::with_capacity(HEADER_BYTES + record.len());
    checked.put_i16(attributes);
    checked.put_i32(0);
    checked.put_i64(timestamp);
    checked.put_i64(timestamp);
    checked.put_i64(producer_id);
    checked.put_i16(producer_epoch);
    checked.put_i32(base_sequence);
    checked.put_i32(1);
    checked.put_slice(record);
    let mut batch = BytesMut::with_capacity(CHECKED_FROM + checked.len());
    batch.put_i64(0);
    batch.put_i32((checked.len() + CHECKED_FROM - UNCOUNTED_BYTES) as i32);
    batch.put_i32(0);
    batch.put_u8(FORMAT);
    batch.put_u32(crc32c::crc32c(&checked));
    batch.put_slice(&checked);
    batch
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(std::array::from_fn(|index| bytes[at + index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_batch_is_accepted_and_a_flipped_byte_is_not() {
        let batch = build_batch(7, Some(b"key"), Some(b"value"), &[]);
        let header = BatchHeader::parse(&batch).expect("own batch");
        assert_eq!((header.record_count, header.max_timestamp), (1, 7));
        for at in 16..batch.len() {
            let mut broken = batch.to_vec();
            broken[at] ^= 1;
            assert!(BatchHeader::parse(&broken).is_err(), "byte {at}");
        }
        for length in 0..batch.len() {
            assert!(
                BatchHeader::parse(&batch[..length]).is_err(),
                "length {length}"
            );
        }
    }

    #[test]
    fn control_batches_are_refused_from_producers() {
        let marker = build_marker(0, 1, 0, true);
        assert_eq!(
            BatchHeader::parse(&marker),
            Err(ResponseError::InvalidRecord)
        );
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(advance_sequence(i32::MAX, 1), 0);
        assert_eq!(advance_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(advance_sequence(4, 5), 9);
    }
}
