//! Reads and writes the fields of Kafka frames. A read past the end, or of a length that cannot be, is `None`.

/// Reads fields forward.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    whole: &'a [u8],
    at: usize,
    /// Lengths are compact, and structures end with tagged fields.
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(whole: &'a [u8], flexible: bool) -> Self {
        Self {
            whole,
            at: 0,
            flexible,
        }
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// What was read since `from`.
    pub(super) fn since(&self, from: usize) -> &'a [u8] {
        self.whole.get(from..self.at).unwrap_or_default()
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.whole.get(self.at..).unwrap_or_default()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.whole.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub(super) fn int8(&mut self) -> Option<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn int16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn int32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn int64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn uuid(&mut self) -> Option<[u8; 16]> {
        self.array()
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A length or `None` for null: compact, or of `wide` (4 bytes) or not (2 bytes).
    fn length(&mut self, wide: bool) -> Option<Option<usize>> {
        if self.flexible {
            return Some((self.varint()? as usize).checked_sub(1));
        }
        let length = if wide {
            self.int32()?
        } else {
            i32::from(self.int16()?)
        };
        match length {
            -1 => Some(None),
            length => usize::try_from(length).ok().map(Some),
        }
    }

    pub(super) fn nullable_string(&mut self) -> Option<Option<&'a str>> {
        match self.length(false)? {
            None => Some(None),
            Some(length) => std::str::from_utf8(self.bytes(length)?).ok().map(Some),
        }
    }

    pub(super) fn string(&mut self) -> Option<&'a str> {
        self.nullable_string()?
    }

    pub(super) fn nullable_bytes(&mut self) -> Option<Option<&'a [u8]>> {
        match self.length(true)? {
            None => Some(None),
            Some(length) => self.bytes(length).map(Some),
        }
    }

    /// How many elements follow; `None` inside for a null array. Nothing may be allocated for this number: it is only
    /// claimed.
    pub(super) fn nullable_array(&mut self) -> Option<Option<usize>> {
        self.length(true)
    }

    pub(super) fn elements(&mut self) -> Option<usize> {
        self.nullable_array()?
    }

    /// Reads over an array of fixed-size elements.
    pub(super) fn skip_array(&mut self, element_bytes: usize) -> Option<()> {
        let count = self.nullable_array()?.unwrap_or(0);
        self.bytes(count.checked_mul(element_bytes)?).map(drop)
    }

    /// Reads over the tagged fields at the end of a structure, if there are any in this version.
    pub(super) fn tags(&mut self) -> Option<()> {
        if !self.flexible {
            return Some(());
        }
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()? as usize;
            self.bytes(length)?;
        }
        Some(())
    }
}

/// Writes fields.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    flexible: bool,
}

impl Writer {
    pub(super) fn new(flexible: bool) -> Self {
        Self {
            bytes: Vec::new(),
            flexible,
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn int8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn int16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn int32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn int64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn length(&mut self, length: Option<usize>, wide: bool) {
        // What is written here was read from a frame, or is shorter: it fits.
        let length = length.map(|length| i32::try_from(length).unwrap_or(i32::MAX));
        match (self.flexible, wide) {
            (true, _) => self.varint(length.map_or(0, |length| length.unsigned_abs() + 1)),
            (false, true) => self.int32(length.unwrap_or(-1)),
            (false, false) => {
                self.int16(length.map_or(-1, |length| i16::try_from(length).unwrap_or(i16::MAX)))
            }
        }
    }

    pub(super) fn string(&mut self, text: &str) {
        self.length(Some(text.len()), false);
        self.raw(text.as_bytes());
    }

    pub(super) fn null_string(&mut self) {
        self.length(None, false);
    }

    pub(super) fn empty_bytes(&mut self) {
        self.length(Some(0), true);
    }

    pub(super) fn elements(&mut self, count: usize) {
        self.length(Some(count), true);
    }

    pub(super) fn null_array(&mut self) {
        self.length(None, true);
    }

    /// No tagged fields.
    pub(super) fn tags(&mut self) {
        if self.flexible {
            self.varint(0);
        }
    }
}
