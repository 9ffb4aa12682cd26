//! What a connection is saying, as far as its outside tells: when the client asked something, and what came back first.
//!
//! The proxy cannot read TLS, but the record headers are in clear, and so are the two hello messages. From them follows
//! which records are handshake and which are the client's and server's own data; [`tls`] has the rules. On connections
//! without TLS every piece of data counts. A [`Mark`] is where such data begins in a piece of the stream.

mod hello;
mod records;
mod tls;

use tokio::time::Instant;

use crate::toxic::Stream;

/// The beginning of the client's or the server's own data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Where in the piece of data it begins.
    pub(crate) offset: usize,
    /// How many bytes of own data follow: those of the record, or of the piece.
    pub(crate) bytes: u64,
    /// Nothing of its own was said by this side before.
    pub(crate) is_first: bool,
}

/// How a client answered what the server had shown in its TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeEnd {
    /// It believed the server, and went on.
    Finished,
    /// It sent an alert instead.
    Refused,
}

#[derive(Debug, Default)]
enum Language {
    /// Nothing was said yet.
    #[default]
    Unheard,
    Plain,
    Tls(Box<tls::Tls>),
}

/// What was said on one connection so far.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    language: Language,
    upstream_marks: u64,
    answered_marks: u64,
    spoke: [bool; 2],
    told_handshake_end: bool,
}

impl Conversation {
    /// Listens to the next piece of one direction.
    pub(crate) fn listen(&mut self, stream: Stream, bytes: &[u8], now: Instant) -> Vec<Mark> {
        let Some(first) = bytes.first() else {
            return Vec::new();
        };
        if matches!(self.language, Language::Unheard) {
            let opens_tls = stream == Stream::Upstream && *first == records::HANDSHAKE;
            self.language = if opens_tls {
                Language::Tls(Box::default())
            } else {
                Language::Plain
            };
        }
        let mut marks = match &mut self.language {
            Language::Unheard | Language::Plain => vec![Mark {
                offset: 0,
                bytes: bytes.len() as u64,
                is_first: false,
            }],
            Language::Tls(tls) => tls.listen(stream, bytes, now),
        };
        if let Some(mark) = marks.first_mut() {
            mark.is_first = !std::mem::replace(&mut self.spoke[stream.index()], true);
        }
        match stream {
            Stream::Upstream => self.upstream_marks += marks.len() as u64,
            Stream::Downstream if marks.is_empty() => {}
            Stream::Downstream => self.answered_marks = self.upstream_marks,
        }
        marks
    }

    /// How often the client's own data went upstream.
    pub(crate) fn upstream_marks(&self) -> u64 {
        self.upstream_marks
    }

    /// How many of those had been sent when the server's own data last came back.
    pub(crate) fn answered_marks(&self) -> u64 {
        self.answered_marks
    }

    /// How the TLS handshake ended; once, when it has.
    pub(crate) fn take_handshake_end(&mut self) -> Option<HandshakeEnd> {
        if self.told_handshake_end {
            return None;
        }
        let end = match &self.language {
            Language::Tls(tls) => tls.handshake_end(),
            Language::Unheard | Language::Plain => None,
        };
        self.told_handshake_end = end.is_some();
        end
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.language, Language::Tls(_))
    }

    /// True where the client offered HTTP/2, so that several requests may be under way at once.
    pub(crate) fn is_multiplexed(&self) -> bool {
        matches!(&self.language, Language::Tls(tls) if tls.offers_http2())
    }

    /// Until when the server's session tickets may still come; `None` when they have come, or none will.
    pub(crate) fn tickets_expected_until(&mut self, now: Instant) -> Option<Instant> {
        match &mut self.language {
            Language::Tls(tls) => tls.tickets_expected_until(now),
            Language::Unheard | Language::Plain => None,
        }
    }

    /// The client's data goes on without waiting for tickets: what comes back next counts as an answer.
    pub(crate) fn expect_no_tickets(&mut self) {
        if let Language::Tls(tls) = &mut self.language {
            tls.expect_no_tickets();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Vec<u8>> {
        let body = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..90),
            prop::collection::vec(any::<u8>(), 0..60).prop_map(|body| {
                // Looks like a hello until its length ends.
                [vec![body.len() as u8 % 3, 0, 0, body.len() as u8], body].concat()
            }),
        ];
        (18_u8..26, body)
            .prop_map(|(kind, body)| [vec![kind, 3, 3, 0, body.len() as u8], body].concat())
    }

    proptest! {
        #[test]
        fn whatever_is_said_nothing_panics_and_marks_lie_in_their_piece(
            said in prop::collection::vec((any::<bool>(), record(), 1..40_usize), 1..20),
            start in any::<u8>(),
        ) {
            let mut conversation = Conversation::default();
            let now = Instant::now();
            conversation.listen(Stream::Upstream, &[if start < 200 { records::HANDSHAKE } else { start }], now);
            for (upstream, bytes, size) in said {
                let stream = if upstream { Stream::Upstream } else { Stream::Downstream };
                for piece in bytes.chunks(size) {
                    for mark in conversation.listen(stream, piece, now) {
                        prop_assert!(mark.offset < piece.len());
                    }
                    conversation.tickets_expected_until(now);
                }
            }
            prop_assert!(conversation.answered_marks() <= conversation.upstream_marks());
        }
    }

    #[test]
    fn without_tls_every_piece_counts() {
        let mut conversation = Conversation::default();
        let now = Instant::now();
        assert_eq!(
            conversation.listen(Stream::Upstream, b"GET /", now).len(),
            1
        );
        assert_eq!(
            (conversation.upstream_marks(), conversation.answered_marks()),
            (1, 0)
        );
        let marks = conversation.listen(Stream::Downstream, b"HTTP/1.1 200", now);
        assert_eq!(
            marks,
            [Mark {
                offset: 0,
                bytes: 12,
                is_first: true
            }]
        );
        assert_eq!(
            (conversation.upstream_marks(), conversation.answered_marks()),
            (1, 1)
        );
        assert!(!conversation.is_tls());
    }
}
