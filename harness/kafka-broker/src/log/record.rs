//! Single records inside an uncompressed batch: counting, finding by time, reading, writing.

use super::batch::HEADER_BYTES;
use bytes::{BufMut, Bytes, BytesMut};

/// A header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The header's name.
    pub key: String,
    /// Its value, `None` if null.
    pub value: Option<Bytes>,
}

/// A record as it lies in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its offset in the partition.
    pub offset: i64,
    /// The producer's time, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The key, `None` if null.
    pub key: Option<Bytes>,
    /// The payload, `None` if null.
    pub value: Option<Bytes>,
    /// The headers, in the producer's order.
    pub headers: Vec<RecordHeader>,
}

/// Why the records of a stored batch cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecordsError {
    /// They are compressed.
    Compressed,
    /// They are not records; stored batches were checked, so this is a defect of the broker.
    Malformed,
}

/// Position and time of a record, as deltas to its batch.
struct Outline {
    timestamp_delta: i64,
    offset_delta: i64,
}

/// The number of records if `records` is nothing but well-formed records.
pub(super) fn count_records(mut records: &[u8]) -> Option<i32> {
    let mut count = 0;
    while !records.is_empty() {
        let (outline, _) = next_record(&mut records)?;
        if outline.offset_delta != i64::from(count) {
            return None;
        }
        count += 1;
    }
    Some(count)
}

/// Offset delta and time of the first record at or after `timestamp_ms` among those from `first_delta` on.
pub(super) fn find_by_time(
    batch: &[u8],
    base_timestamp: i64,
    timestamp_ms: i64,
    first_delta: i64,
) -> Option<(i64, i64)> {
    let mut records = batch.get(HEADER_BYTES..)?;
    while !records.is_empty() {
        let (outline, _) = next_record(&mut records)?;
        let time = base_timestamp.saturating_add(outline.timestamp_delta);
        if time >= timestamp_ms && outline.offset_delta >= first_delta {
            return Some((outline.offset_delta, time));
        }
    }
    None
}

/// Reads all records of a stored batch.
pub(crate) fn decode_records(
    batch: &Bytes,
    base_offset: i64,
    base_timestamp: i64,
    compressed: bool,
) -> Result<Vec<Record>, RecordsError> {
    if compressed {
        return Err(RecordsError::Compressed);
    }
    let mut rest = batch.get(HEADER_BYTES..).ok_or(RecordsError::Malformed)?;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (outline, body) = next_record(&mut rest).ok_or(RecordsError::Malformed)?;
        let (key, value, headers) = read_body(batch, body).ok_or(RecordsError::Malformed)?;
        records.push(Record {
            offset: base_offset + outline.offset_delta,
            timestamp_ms: base_timestamp.saturating_add(outline.timestamp_delta),
            key,
            value,
            headers,
        });
    }
    Ok(records)
}

/// Splits the next record off and checks that its fields fill it exactly; the rest is its key, value and headers.
fn next_record<'a>(records: &mut &'a [u8]) -> Option<(Outline, &'a [u8])> {
    let length = usize::try_from(varint(records)?).ok()?;
    let (mut record, rest) = records.split_at_checked(length)?;
    *records = rest;
    let (_attributes, fields) = record.split_first()?;
    record = fields;
    let outline = Outline {
        timestamp_delta: varint(&mut record)?,
        offset_delta: varint(&mut record)?,
    };
    let body = record;
    skip_nullable(&mut record)?;
    skip_nullable(&mut record)?;
    for _ in 0..usize::try_from(varint(&mut record)?).ok()? {
        let key = usize::try_from(varint(&mut record)?).ok()?;
        std::str::from_utf8(record.get(..key)?).ok()?;
        record = &record[key..];
        skip_nullable(&mut record)?;
    }
    record.is_empty().then_some((outline, body))
}

type Body = (Option<Bytes>, Option<Bytes>, Vec<RecordHeader>);

fn read_body(batch: &Bytes, mut body: &[u8]) -> Option<Body> {
    let key = nullable(&mut body)?.map(|bytes| batch.slice_ref(bytes));
    let value = nullable(&mut body)?.map(|bytes| batch.slice_ref(bytes));
    let mut headers = Vec::new();
    for _ in 0..varint(&mut body)? {
        let key = String::from_utf8(nullable(&mut body)??.to_vec()).ok()?;
        let value = nullable(&mut body)?.map(|bytes| batch.slice_ref(bytes));
        headers.push(RecordHeader { key, value });
    }
    Some((key, value, headers))
}

fn skip_nullable(bytes: &mut &[u8]) -> Option<()> {
    nullable(bytes).map(|_| ())
}

fn nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint(bytes)?;
    if length == -1 {
        return Some(None);
    }
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(taken))
}

/// A zigzag number of at most ten bytes.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

/// Appends one record with both deltas 0.
pub(super) fn write_record(
    out: &mut BytesMut,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[RecordHeader],
) {
    let mut body = BytesMut::new();
    body.put_i8(0);
    put_varint(&mut body, 0);
    put_varint(&mut body, 0);
    put_nullable(&mut body, key);
    put_nullable(&mut body, value);
    put_varint(&mut body, headers.len() as i64);
    for header in headers {
        put_nullable(&mut body, Some(header.key.as_bytes()));
        put_nullable(&mut body, header.value.as_deref());
    }
    put_varint(out, body.len() as i64);
    out.put_slice(&body);
}

fn put_nullable(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, bytes.len() as i64);
            out.put_slice(bytes);
        }
    }
}

fn put_varint(out: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.put_u8((rest as u8) | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::super::batch::build_batch;
    use super::*;

    #[test]
    fn a_record_reads_as_it_was_written() {
        let headers = vec![
            RecordHeader {
                key: "traceparent".into(),
                value: Some(Bytes::from_static(b"00-1")),
            },
            RecordHeader {
                key: "empty".into(),
                value: None,
            },
        ];
        let batch = build_batch(42, None, Some(&[7; 500]), &headers);
        let records = decode_records(&batch, 10, 42, false).expect("records");
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].offset, records[0].timestamp_ms), (10, 42));
        assert_eq!(records[0].key, None);
        assert_eq!(records[0].value.as_deref(), Some(&[7; 500][..]));
        assert_eq!(records[0].headers, headers);
    }

    #[test]
    fn anything_but_whole_records_is_not_counted() {
        let batch = build_batch(0, Some(b"k"), Some(b"v"), &[]);
        let records = &batch[HEADER_BYTES..];
        assert_eq!(count_records(records), Some(1));
        for length in 1..records.len() {
            assert_eq!(count_records(&records[..length]), None, "length {length}");
        }
        assert_eq!(count_records(&[0xff; 30]), None);
    }
}
