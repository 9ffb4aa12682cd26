//! Which TLS records are the client's and the server's own data.
//!
//! **TLS 1.2**: exactly the application-data records.
//!
//! **TLS 1.3** disguises everything encrypted as application data, so the order and the lengths decide:
//! 1. What the server sends before the client's Finished is its handshake.
//! 2. The client's handshake ends with its Finished, whose length follows from the cipher suite. A client with a
//!    certificate sends more before it, perhaps all in one record; then the first record that comes back ends it.
//! 3. Right after that a server sends session tickets, unless it has none to give. They look like an answer. So whoever
//!    wants to tell them apart holds the client's data back until tickets have come and it is quiet for
//!    [`QUIET_AFTER_TICKETS`], or until [`NO_TICKETS_AFTER`] has passed: what comes in that time is no answer.
//! 4. Records too short for anything but an alert or a key update are neither.
//!
//! **How a handshake ended** follows from the same: the client answered what the server had shown either with its Finished
//! (in TLS 1.2 with the change of ciphers in front of it), or with an alert.
//!
//! A connection that does not keep to TLS, or that sends early data (0-RTT), has no marks: no toxic that needs
//! them acts on it. That errs on the side of a fault that is not felt, never of one that is counted but did not happen.

use std::time::Duration;

use tokio::time::Instant;

use super::hello::{self, ClientHello, Collector, ServerHello};
use super::records::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Next, NotTls, Record, Records,
};
use super::{HandshakeEnd, Mark};
use crate::toxic::Stream;

/// How long it must be quiet after a session ticket until no other is expected. Servers send them in one go.
const QUIET_AFTER_TICKETS: Duration = Duration::from_millis(10);
/// How long after the client's Finished a server is given to send its first session ticket.
const NO_TICKETS_AFTER: Duration = Duration::from_millis(300);

const TLS_AES_256_GCM_SHA384: u16 = 0x1302;
const TLS_AES_128_CCM_8_SHA256: u16 = 0x1305;
/// Message header, inner content type and tag around the Finished's hash.
const FINISHED_OVERHEAD: usize = 4 + 1 + 16;
/// What encryption adds to a record: inner content type and tag (1.3), explicit nonce and tag (1.2).
const OVERHEAD_1_3: usize = 1 + 16;
const OVERHEAD_1_2: usize = 8 + 16;
/// The largest TLS 1.3 record that is an alert (2 bytes) or a key update (5 bytes).
const LARGEST_ALERT_OR_KEY_UPDATE: usize = 5 + OVERHEAD_1_3;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The server has not said hello.
    #[default]
    Hellos,
    /// TLS 1.3, the client's Finished has not passed. True once something encrypted of the client's has.
    Handshake { client_started: bool },
    /// TLS 1.3, session tickets may still come.
    Tickets { until: Instant },
    /// Application data is application data.
    Open,
    /// Not to be understood.
    Opaque,
}

/// The state of one TLS connection.
#[derive(Debug, Default)]
pub(super) struct Tls {
    records: [Records; 2],
    collecting: [bool; 2],
    collectors: [Collector; 2],
    client: Option<ClientHello>,
    server: Option<ServerHello>,
    phase: Phase,
    ended: Option<HandshakeEnd>,
}

impl Tls {
    pub(super) fn listen(&mut self, stream: Stream, piece: &[u8], now: Instant) -> Vec<Mark> {
        let mut marks = Vec::new();
        if self.phase == Phase::Opaque {
            return marks;
        }
        let mut records = std::mem::take(&mut self.records[stream.index()]);
        let read = records.read(piece, |next| match next {
            Next::Record(record) => marks.extend(self.record(stream, record, now)),
            Next::Body(bytes) => self.body(stream, bytes),
        });
        self.records[stream.index()] = records;
        if read == Err(NotTls) {
            self.phase = Phase::Opaque;
        }
        marks
    }

    pub(super) fn offers_http2(&self) -> bool {
        self.client.is_some_and(|hello| hello.offers_http2)
    }

    pub(super) fn tickets_expected_until(&mut self, now: Instant) -> Option<Instant> {
        match self.phase {
            Phase::Tickets { until } if now < until => Some(until),
            Phase::Tickets { .. } => {
                self.phase = Phase::Open;
                None
            }
            _ => None,
        }
    }

    pub(super) fn expect_no_tickets(&mut self) {
        if matches!(self.phase, Phase::Tickets { .. }) {
            self.phase = Phase::Open;
        }
    }

    /// How the handshake ended, once that is known.
    pub(super) fn handshake_end(&self) -> Option<HandshakeEnd> {
        self.ended
    }

    fn record(&mut self, stream: Stream, record: Record, now: Instant) -> Option<Mark> {
        self.collecting[stream.index()] = record.record_type == HANDSHAKE && !self.heard(stream);
        if record.record_type != APPLICATION_DATA {
            self.undisguised(stream, record);
            return None;
        }
        match self.phase {
            Phase::Hellos => {
                self.phase = Phase::Opaque;
                None
            }
            Phase::Handshake { client_started } => {
                self.handshake(stream, record, client_started, now);
                None
            }
            Phase::Tickets { until } if stream == Stream::Downstream && now < until => {
                if record.length > LARGEST_ALERT_OR_KEY_UPDATE {
                    self.phase = Phase::Tickets {
                        until: now + QUIET_AFTER_TICKETS,
                    };
                }
                None
            }
            Phase::Tickets { .. } | Phase::Open => self.own_data(record),
            Phase::Opaque => None,
        }
    }

    /// What a client says in clear after the server's hello.
    fn undisguised(&mut self, stream: Stream, record: Record) {
        let Some(server) = self.server.filter(|_| stream == Stream::Upstream) else {
            return;
        };
        match record.record_type {
            ALERT => self.end(HandshakeEnd::Refused),
            // In TLS 1.3 it means nothing, and old routers like to see it.
            CHANGE_CIPHER_SPEC if !server.tls13 => self.end(HandshakeEnd::Finished),
            _ => {}
        }
    }

    /// Whatever is said later, a handshake ends once.
    fn end(&mut self, end: HandshakeEnd) {
        self.ended.get_or_insert(end);
    }

    /// Follows the encrypted part of a TLS 1.3 handshake to its end.
    fn handshake(&mut self, stream: Stream, record: Record, client_started: bool, now: Instant) {
        let finished = match self.server.map(|hello| hello.cipher_suite) {
            Some(TLS_AES_256_GCM_SHA384) => FINISHED_OVERHEAD + 48,
            Some(TLS_AES_128_CCM_8_SHA256) => FINISHED_OVERHEAD + 32 - 8,
            _ => FINISHED_OVERHEAD + 32,
        };
        match stream {
            // Not even an empty certificate is as short: the client says why it will not go on.
            Stream::Upstream if record.length <= LARGEST_ALERT_OR_KEY_UPDATE => {
                self.end(HandshakeEnd::Refused);
                self.phase = Phase::Opaque;
            }
            Stream::Upstream if record.length == finished => {
                self.end(HandshakeEnd::Finished);
                let accepts_tickets = self.client.is_some_and(|hello| hello.accepts_tickets);
                self.phase = match accepts_tickets {
                    true => Phase::Tickets {
                        until: now + NO_TICKETS_AFTER,
                    },
                    false => Phase::Open,
                };
            }
            Stream::Upstream => {
                self.phase = Phase::Handshake {
                    client_started: true,
                }
            }
            Stream::Downstream if client_started => {
                self.end(HandshakeEnd::Finished);
                self.phase = Phase::Tickets {
                    until: now + QUIET_AFTER_TICKETS,
                };
            }
            Stream::Downstream => {}
        }
    }

    fn own_data(&self, record: Record) -> Option<Mark> {
        let tls13 = self.server.is_some_and(|hello| hello.tls13);
        if tls13 && record.length <= LARGEST_ALERT_OR_KEY_UPDATE {
            return None;
        }
        let overhead = if tls13 { OVERHEAD_1_3 } else { OVERHEAD_1_2 };
        Some(Mark {
            offset: record.offset,
            bytes: record.length.saturating_sub(overhead) as u64,
            is_first: false,
        })
    }

    fn heard(&self, stream: Stream) -> bool {
        match stream {
            Stream::Upstream => self.client.is_some(),
            Stream::Downstream => self.server.is_some(),
        }
    }

    /// Reads the hello messages.
    fn body(&mut self, stream: Stream, bytes: &[u8]) {
        if !self.collecting[stream.index()] || self.heard(stream) {
            return;
        }
        let Ok(message) = self.collectors[stream.index()].add(bytes) else {
            self.phase = Phase::Opaque;
            return;
        };
        let Some((message_type, body)) = message else {
            return;
        };
        let understood = match stream {
            Stream::Upstream => {
                self.client = hello::client_hello(message_type, body);
                self.client.is_some()
            }
            Stream::Downstream => {
                self.server = hello::server_hello(message_type, body);
                if let Some(server) = self.server {
                    self.phase = if server.tls13 {
                        Phase::Handshake {
                            client_started: false,
                        }
                    } else {
                        Phase::Open
                    };
                }
                self.server.is_some()
            }
        };
        self.collectors[stream.index()] = Collector::default();
        if !understood {
            self.phase = Phase::Opaque;
        }
    }
}
