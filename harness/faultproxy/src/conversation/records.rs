//! The records of a TLS stream, from their headers: five bytes of type, version and length in front of each.

/// Record type: change cipher spec; in TLS 1.2 the client's says that it believes the server.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
/// Record type: an alert that is not disguised.
pub(super) const ALERT: u8 = 21;
/// Record type: handshake in clear (and, in TLS 1.2, the encrypted Finished).
pub(super) const HANDSHAKE: u8 = 22;
/// Record type: application data; in TLS 1.3 also everything that is encrypted.
pub(super) const APPLICATION_DATA: u8 = 23;

const HEADER_BYTES: usize = 5;
const FIRST_TYPE: u8 = 20;
const LAST_TYPE: u8 = 24;
const VERSION_MAJOR: u8 = 3;
/// The longest record that any version allows: 2^14 and 2048 bytes of expansion.
const MAX_RECORD_BYTES: usize = (1 << 14) + 2048;

/// A record whose header is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Where its header begins in the piece; 0 where it began in an earlier one.
    pub(super) offset: usize,
    pub(super) record_type: u8,
    /// Bytes after the header.
    pub(super) length: usize,
}

/// What is next in a piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    Record(Record),
    /// Bytes of the record announced last.
    Body(&'a [u8]),
}

/// The stream is not made of TLS records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotTls;

/// Finds the records of one direction, however the stream is cut into pieces.
#[derive(Debug, Default)]
pub(super) struct Records {
    header: [u8; HEADER_BYTES],
    have: usize,
    left: usize,
}

impl Records {
    /// Calls `found` for everything in this piece, in order.
    pub(super) fn read(
        &mut self,
        piece: &[u8],
        mut found: impl FnMut(Next<'_>),
    ) -> Result<(), NotTls> {
        let mut at = 0;
        while at < piece.len() {
            if self.left > 0 {
                let take = self.left.min(piece.len() - at);
                found(Next::Body(&piece[at..at + take]));
                self.left -= take;
                at += take;
                continue;
            }
            let take = (HEADER_BYTES - self.have).min(piece.len() - at);
            self.header[self.have..self.have + take].copy_from_slice(&piece[at..at + take]);
            let offset = at.saturating_sub(self.have);
            self.have += take;
            at += take;
            if self.have == HEADER_BYTES {
                self.have = 0;
                let record = self.announced(offset)?;
                self.left = record.length;
                found(Next::Record(record));
            }
        }
        Ok(())
    }

    fn announced(&self, offset: usize) -> Result<Record, NotTls> {
        let [record_type, major, _minor, high, low] = self.header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let plausible = (FIRST_TYPE..=LAST_TYPE).contains(&record_type)
            && major == VERSION_MAJOR
            && length <= MAX_RECORD_BYTES;
        plausible
            .then_some(Record {
                offset,
                record_type,
                length,
            })
            .ok_or(NotTls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        let mut bytes = vec![22, 3, 1, 0, 3, 1, 2, 3];
        bytes.extend([20, 3, 3, 0, 1, 1]);
        bytes.extend([23, 3, 3, 0, 0]);
        bytes.extend([23, 3, 3, 0, 2, 9, 9]);
        bytes
    }

    #[test]
    fn records_are_found_however_the_stream_is_cut() {
        for size in 1..=stream().len() {
            let mut records = Records::default();
            let mut found = Vec::new();
            let mut body = Vec::new();
            for piece in stream().chunks(size) {
                records
                    .read(piece, |next| match next {
                        Next::Record(record) => found.push((record.record_type, record.length)),
                        Next::Body(bytes) => body.extend_from_slice(bytes),
                    })
                    .expect("these are records");
            }
            assert_eq!(
                found,
                [(22, 3), (20, 1), (23, 0), (23, 2)],
                "in pieces of {size}"
            );
            assert_eq!(body, [1, 2, 3, 1, 9, 9], "in pieces of {size}");
        }
    }

    #[test]
    fn offsets_point_at_headers() {
        let mut offsets = Vec::new();
        Records::default()
            .read(&stream(), |next| {
                if let Next::Record(record) = next {
                    offsets.push(record.offset);
                }
            })
            .expect("these are records");
        assert_eq!(offsets, [0, 8, 14, 19]);
    }

    #[test]
    fn something_else_is_not_taken_for_tls() {
        for wrong in [[22, 9, 1, 0, 3], [9, 3, 1, 0, 3], [23, 3, 3, 255, 255]] {
            assert_eq!(Records::default().read(&wrong, |_| ()), Err(NotTls));
        }
    }
}
