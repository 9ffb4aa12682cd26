//! Walks a request body by its schema before the decoder sees it.
//!
//! The decoder trusts the element counts of arrays: it allocates for them before it reads an element, so that a frame
//! of twenty bytes could ask for gigabytes and abort the process. The walk accepts only counts whose elements are there.

use super::shapes::shape_of;
use kafka_protocol::messages::ApiKey;

/// Most array elements and tagged fields that one request may hold in all.
const MAX_ELEMENTS: usize = 200_000;

/// One field of a request body, and the versions that have it.
pub(super) struct Field {
    pub(super) first: i16,
    pub(super) last: i16,
    pub(super) kind: Kind,
}

/// How a field is laid out.
pub(super) enum Kind {
    /// A number, boolean or uuid of so many bytes.
    Fixed(usize),
    /// A string, nullable or not.
    Text,
    /// Bytes or records, nullable or not.
    Blob,
    /// An array of structures.
    Each(&'static [Field]),
    /// An array of strings.
    Texts,
    /// An array of 32-bit numbers.
    Numbers,
}

/// Why a body is not one of its API and version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ShapeError {
    /// It ends inside a field.
    #[error("body ends inside a field")]
    Truncated,
    /// A length is negative.
    #[error("negative length")]
    NegativeLength,
    /// It holds more elements than allowed.
    #[error("more than {MAX_ELEMENTS} elements")]
    TooManyElements,
    /// The schema of this API is not known.
    #[error("no schema for {0:?}")]
    NoSchema(ApiKey),
}

/// Checks that `body` has the shape of a request of `api` in `version`. Bytes after the last field are ignored, as Kafka does.
pub(crate) fn check_shape(api: ApiKey, version: i16, body: &[u8]) -> Result<(), ShapeError> {
    let fields = shape_of(api).ok_or(ShapeError::NoSchema(api))?;
    let mut walk = Walk {
        rest: body,
        version,
        flexible: api.request_header_version(version) >= 2,
        elements: 0,
    };
    walk.structure(fields)
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    /// Flexible versions have compact lengths and end each structure with tagged fields.
    flexible: bool,
    elements: usize,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &'static [Field]) -> Result<(), ShapeError> {
        for field in fields {
            if (field.first..=field.last).contains(&self.version) {
                self.field(&field.kind)?;
            }
        }
        if self.flexible { self.tags() } else { Ok(()) }
    }

    fn field(&mut self, kind: &Kind) -> Result<(), ShapeError> {
        match kind {
            Kind::Fixed(bytes) => self.skip(*bytes),
            Kind::Text => self.text(),
            Kind::Blob => {
                let length = self.length(4)?;
                self.skip(length)
            }
            Kind::Each(fields) => {
                for _ in 0..self.count()? {
                    self.structure(fields)?;
                }
                Ok(())
            }
            Kind::Texts => {
                for _ in 0..self.count()? {
                    self.text()?;
                }
                Ok(())
            }
            Kind::Numbers => {
                let count = self.count()?;
                self.skip(count.saturating_mul(4))
            }
        }
    }

    fn text(&mut self) -> Result<(), ShapeError> {
        let length = self.length(2)?;
        self.skip(length)
    }

    /// A length of `width` bytes, or a compact one; null counts as 0.
    fn length(&mut self, width: usize) -> Result<usize, ShapeError> {
        if self.flexible {
            return Ok((self.unsigned_varint()? as usize).saturating_sub(1));
        }
        let bytes = self.take(width)?;
        let length = match *bytes {
            [a, b] => i32::from(i16::from_be_bytes([a, b])),
            [a, b, c, d] => i32::from_be_bytes([a, b, c, d]),
            _ => return Err(ShapeError::Truncated),
        };
        if length == -1 {
            return Ok(0);
        }
        usize::try_from(length).map_err(|_| ShapeError::NegativeLength)
    }

    fn count(&mut self) -> Result<usize, ShapeError> {
        let count = self.length(4)?;
        self.add_elements(count)?;
        Ok(count)
    }

    fn add_elements(&mut self, count: usize) -> Result<(), ShapeError> {
        self.elements = self.elements.saturating_add(count);
        if self.elements > MAX_ELEMENTS {
            return Err(ShapeError::TooManyElements);
        }
        Ok(())
    }

    fn tags(&mut self) -> Result<(), ShapeError> {
        let count = self.unsigned_varint()? as usize;
        self.add_elements(count)?;
        for _ in 0..count {
            self.unsigned_varint()?;
            let length = self.unsigned_varint()? as usize;
            self.skip(length)?;
        }
        Ok(())
    }

    /// Reads exactly as the decoder does: at most five bytes, excess bits dropped.
    fn unsigned_varint(&mut self) -> Result<u32, ShapeError> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let &[byte] = self.take(1)? else {
                return Err(ShapeError::Truncated);
            };
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), ShapeError> {
        self.take(bytes).map(|_| ())
    }

    fn take(&mut self, bytes: usize) -> Result<&[u8], ShapeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(bytes)
            .ok_or(ShapeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}
