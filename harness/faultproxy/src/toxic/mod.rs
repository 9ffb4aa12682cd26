//! What can go wrong on a link. A [`Toxic`] is a value: kind, parameters, direction, share of connections. One file a
//! kind holds what it does to one connection; the [`chain`] runs all of them over the data of one connection.

pub(crate) mod chain;
mod latency;
mod limit_data;
mod lose_answer;
mod reset_peer;
pub(crate) mod set;
mod timeout;
mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::conversation::Mark;
use crate::counters::{ToxicCounters, ToxicCounts};
use crate::dice::Dice;

/// The longest time that a toxic or a rule may make anything wait, in milliseconds: a week.
pub const LONGEST_WAIT_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// The direction that data flows in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// From the client to the server.
    Upstream,
    /// From the server to the client.
    Downstream,
}

/// Which connections `lose_answer` acts on, and so how it tells a request from an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// On all; what a connection starts with tells whether it is TLS.
    #[default]
    Auto,
    /// On TLS connections only, whose handshakes pass.
    Tls,
    /// On connections without TLS only: every byte counts.
    Plain,
}

/// What a toxic does, with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum ToxicKind {
    /// Delivers everything late.
    Latency {
        /// How late, in milliseconds.
        latency_ms: u64,
        /// Up to this much more or less, drawn for every piece of data, in milliseconds.
        jitter_ms: u64,
    },
    /// Swallows everything, then closes the connection. Removing it closes the connections it was on.
    Timeout {
        /// Milliseconds until the connection is closed; 0 keeps it open until the toxic is removed.
        timeout_ms: u64,
    },
    /// Swallows the next data and resets the connection (TCP RST to both sides).
    ResetPeer {
        /// Milliseconds between the data and the reset.
        timeout_ms: u64,
    },
    /// Closes the connection after a number of bytes, counted on each connection from when the toxic was added.
    LimitData {
        /// How many bytes still pass. With 0 the first byte is what closes the connection.
        bytes: u64,
    },
    /// Lets requests through and cuts the connection when the answer begins to arrive: the server did the work, the
    /// client never hears of it. TLS handshakes pass. Only downstream.
    LoseAnswer {
        /// How requests and answers are told apart.
        protocol: Protocol,
        /// Requests on each connection that are still answered before one loses its answer.
        after_requests: u64,
        /// The share of the answers, thereafter, that are lost. 0.0..=1.0
        share: f64,
        /// How many answers are lost over all connections; `None` for no end.
        times: Option<u64>,
        /// Answers smaller than this are let through as control traffic. `None`: 30 where the client offered HTTP/2
        /// (whose acknowledgements are not answers), 70 for what its server says first, else 0.
        min_answer_bytes: Option<u64>,
        /// How long the server's side stays open after the cut, and what it sends is swallowed, in milliseconds.
        drain_ms: u64,
    },
}

/// One fault on one link.
#[derive(Debug, Clone, PartialEq)]
pub struct Toxic {
    /// Unique on its proxy.
    pub name: String,
    /// The direction it acts on.
    pub stream: Stream,
    /// The share of connections that it acts on, 0.0..=1.0, drawn once a connection from the proxy's seed.
    pub toxicity: f64,
    /// What it does.
    pub kind: ToxicKind,
}

/// Why a toxic was not added, changed or removed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ToxicError {
    /// The name is taken on this proxy.
    #[error("toxic already exists")]
    AlreadyExists,
    /// No toxic of that name is in force.
    #[error("toxic not found")]
    NotFound,
    /// The type is none that this proxy knows.
    #[error("invalid toxic type")]
    InvalidType,
    /// The stream is neither upstream nor downstream, or not one this toxic can act on.
    #[error("stream was invalid, can be either upstream or downstream")]
    InvalidStream,
    /// A parameter has no meaning; the text says which.
    #[error("bad request body: {0}")]
    InvalidAttributes(String),
}

/// A toxic in force: reads its counters, also after it was removed.
#[derive(Debug, Clone)]
#[must_use = "the handle is how the fault is known to be felt; drop it only if the counters are read elsewhere"]
pub struct ToxicHandle {
    pub(crate) name: String,
    pub(crate) counters: Arc<ToxicCounters>,
}

impl ToxicHandle {
    /// The toxic's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the toxic has done so far.
    pub fn counts(&self) -> ToxicCounts {
        self.counters.snapshot()
    }
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Both sockets are closed.
    Close,
    /// Both sockets are reset.
    Reset,
    /// The client's socket is closed; the server's is read, and what it says swallowed, for this long.
    Drain(Duration),
}

/// One piece of data on its way through the toxics of its direction.
#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) bytes: Bytes,
    /// Where requests or answers begin in it.
    pub(crate) marks: &'a [Mark],
    /// How many marks went upstream on this connection so far.
    pub(crate) upstream_marks: u64,
    /// True where the client offered HTTP/2.
    pub(crate) multiplexed: bool,
    /// True where the connection is TLS.
    pub(crate) tls: bool,
}

/// What a toxic does to a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Pass,
    Delay(Duration),
    Discard,
    /// The first `keep` bytes pass, the connection ends `after` that.
    Cut {
        keep: usize,
        after: Duration,
        ending: Ending,
    },
}

/// What one toxic does to one connection.
pub(crate) trait Act: Send + std::fmt::Debug {
    /// Decides about the next chunk in the toxic's direction.
    fn pass(&mut self, chunk: &Chunk<'_>) -> Effect;

    /// When the connection ends whatever happens.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// True if the end of the stream is swallowed as well.
    fn swallows_end(&self) -> bool {
        false
    }

    /// True if requests wait until the server's session tickets have passed, so that those are not taken for answers.
    fn waits_for_tickets(&self) -> bool {
        false
    }

    /// What the toxic's removal does to the connection.
    fn ending_on_removal(&self) -> Option<Ending> {
        None
    }
}

/// What a toxic knows of the connection that it is put on.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) dice: Dice,
    pub(crate) now: Instant,
    /// How many of the marks that went upstream were answered when the toxic was put on.
    pub(crate) answered_marks: u64,
    /// How many more answers may be lost, shared by all connections.
    pub(crate) left: Arc<AtomicU64>,
}

impl ToxicKind {
    /// The type's name in Toxiproxy's API.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::Timeout { .. } => "timeout",
            Self::ResetPeer { .. } => "reset_peer",
            Self::LimitData { .. } => "limit_data",
            Self::LoseAnswer { .. } => "lose_answer",
        }
    }

    /// Every answer is lost, or the next `times` of them; the other parameters have their defaults.
    pub fn lose_answer(times: Option<u64>) -> Self {
        Self::LoseAnswer {
            protocol: Protocol::Auto,
            after_requests: 0,
            share: 1.0,
            times,
            min_answer_bytes: None,
            drain_ms: lose_answer::DEFAULT_DRAIN_MS,
        }
    }

    /// Every time in its parameters, in milliseconds.
    fn waits(&self) -> Vec<u64> {
        match *self {
            Self::Latency {
                latency_ms,
                jitter_ms,
            } => vec![latency_ms, jitter_ms],
            Self::Timeout { timeout_ms } | Self::ResetPeer { timeout_ms } => vec![timeout_ms],
            Self::LoseAnswer { drain_ms, .. } => vec![drain_ms],
            Self::LimitData { .. } => Vec::new(),
        }
    }

    pub(crate) fn times(&self) -> u64 {
        match self {
            Self::LoseAnswer {
                times: Some(times), ..
            } => *times,
            _ => u64::MAX,
        }
    }

    pub(crate) fn place(&self, placed: Placed) -> Box<dyn Act> {
        match self {
            Self::Latency {
                latency_ms,
                jitter_ms,
            } => Box::new(latency::Latency::new(*latency_ms, *jitter_ms, placed)),
            Self::Timeout { timeout_ms } => Box::new(timeout::Timeout::new(*timeout_ms, &placed)),
            Self::ResetPeer { timeout_ms } => Box::new(reset_peer::ResetPeer::new(*timeout_ms)),
            Self::LimitData { bytes } => Box::new(limit_data::LimitData::new(*bytes)),
            Self::LoseAnswer {
                protocol,
                after_requests,
                share,
                min_answer_bytes,
                drain_ms,
                ..
            } => Box::new(lose_answer::LoseAnswer::new(
                lose_answer::Terms {
                    protocol: *protocol,
                    after_requests: *after_requests,
                    share: *share,
                    min_answer_bytes: *min_answer_bytes,
                    drain: Duration::from_millis(*drain_ms),
                },
                placed,
            )),
        }
    }
}

impl Toxic {
    /// A toxic on all connections, named like Toxiproxy names one without a name.
    pub fn new(kind: ToxicKind, stream: Stream) -> Self {
        let name = format!("{}_{}", kind.type_name(), stream.name());
        Self {
            name,
            stream,
            toxicity: 1.0,
            kind,
        }
    }

    /// The same toxic under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Checks what a proxy could not act on.
    ///
    /// # Errors
    /// A share outside 0.0..=1.0, a wait beyond [`LONGEST_WAIT_MS`], an empty name, or a `lose_answer` on requests.
    pub fn validate(&self) -> Result<(), ToxicError> {
        let share = |what: &str, value: f64| {
            let text = format!("{what} must be from 0.0 to 1.0, is {value}");
            (0.0..=1.0)
                .contains(&value)
                .then_some(())
                .ok_or(ToxicError::InvalidAttributes(text))
        };
        share("toxicity", self.toxicity)?;
        if self.name.is_empty() {
            return Err(ToxicError::InvalidAttributes("name is empty".to_owned()));
        }
        if let Some(wait) = self
            .kind
            .waits()
            .into_iter()
            .find(|wait| *wait > LONGEST_WAIT_MS)
        {
            let text = format!("nothing waits longer than {LONGEST_WAIT_MS} ms, here {wait}");
            return Err(ToxicError::InvalidAttributes(text));
        }
        if let ToxicKind::LoseAnswer { share: lost, .. } = &self.kind {
            share("share", *lost)?;
            if self.stream != Stream::Downstream {
                return Err(ToxicError::InvalidStream);
            }
        }
        Ok(())
    }
}

impl Stream {
    /// `upstream` or `downstream`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Upstream => 0,
            Self::Downstream => 1,
        }
    }
}
