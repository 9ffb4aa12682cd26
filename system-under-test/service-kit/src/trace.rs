//! W3C trace context: one id follows an order through HTTP requests, database rows and Kafka records.

use std::fmt;
use std::future::Future;

use uuid::Uuid;

/// Name of the HTTP header and of the Kafka header.
pub const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static CURRENT: Trace;
}

/// A position in a trace: what stands in a `traceparent` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl Trace {
    /// Starts a trace of our own.
    pub fn start() -> Self {
        Self {
            trace_id: Uuid::new_v4().as_u128(),
            span_id: fresh_span_id(),
            flags: 1,
        }
    }

    /// Reads a `traceparent`; none when it is malformed, as the standard asks.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version = hexadecimal(parts.next()?, 2)?;
        let trace_id = hexadecimal(parts.next()?, 32)?;
        let span_id = hexadecimal(parts.next()?, 16)?;
        let flags = hexadecimal(parts.next()?, 2)?;
        let ends_here = parts.next().is_none();
        if version == 0xff || trace_id == 0 || span_id == 0 || (version == 0 && !ends_here) {
            return None;
        }
        Some(Self {
            trace_id,
            span_id: u64::try_from(span_id).ok()?,
            flags: u8::try_from(flags).ok()?,
        })
    }

    /// The position of a step below this one: same trace, a span of its own.
    pub fn child(self) -> Self {
        Self {
            span_id: fresh_span_id(),
            ..self
        }
    }

    /// Continues the trace of a header, or starts one.
    pub fn continued(header: Option<&str>) -> Self {
        header
            .and_then(Self::parse)
            .map_or_else(Self::start, Self::child)
    }

    /// The trace's id as 32 hexadecimal digits, for logs.
    pub fn id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The trace that the running task works for, if it works for one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|trace| *trace).ok()
    }

    /// Runs a future for this trace: [`Trace::current`] returns it there.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.span_id, self.flags
        )
    }
}

fn fresh_span_id() -> u64 {
    // The low half of a random UUID: 62 random bits, never all zero because of its variant bits.
    Uuid::new_v4().as_u64_pair().1
}

fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let lower = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() == digits && lower {
        u128::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_and_written_alike() {
        assert_eq!(
            Trace::parse(EXAMPLE).expect("well-formed").to_string(),
            EXAMPLE
        );
    }

    #[test]
    fn a_child_keeps_the_trace_and_has_its_own_span() {
        let parent = Trace::parse(EXAMPLE).expect("well-formed");
        let child = Trace::continued(Some(EXAMPLE));
        assert_eq!(child.id(), parent.id());
        assert_ne!(child, parent);
    }

    #[test]
    fn malformed_headers_start_a_new_trace() {
        let zero = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        for text in [
            "",
            "00-1-2-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            zero.as_str(),
        ] {
            assert_eq!(Trace::parse(text), None, "{text}");
        }
        assert_eq!(Trace::parse(&EXAMPLE.to_uppercase()), None);
    }

    #[tokio::test]
    async fn the_current_trace_is_the_scopes() {
        assert_eq!(Trace::current(), None);
        let trace = Trace::start();
        assert_eq!(trace.scope(async { Trace::current() }).await, Some(trace));
    }
}
