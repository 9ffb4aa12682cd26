//! One connection between a Kafka client and its broker: cuts the streams into frames, matches answers with requests,
//! and does what the rules say. No I/O here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::address::Told;
use super::api_key::ApiKey;
use super::request::{self, Body, Header};
use super::rewrite::{self, TopicError};
use super::rule::KafkaAction;
use super::rule_set::{RuleEntry, Rules};
use super::{answer, rewrite::TopicIds};
use crate::dice::Dice;
use crate::toxic::{Ending, Stream};

const LENGTH_BYTES: usize = 4;
/// A request's API, version and correlation id.
const SMALLEST_REQUEST: usize = 8;
/// An answer's length and correlation id.
const ANSWER_HEAD: usize = 8;

/// Something for one direction of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Bytes, this much later than they would be.
    Data(Bytes, Duration),
    /// The connection ends.
    End(Ending),
}

/// A frame that breaks the protocol, or that would lead around the proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(String);

/// The bounds of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) frame_bytes: usize,
    pub(crate) in_flight: usize,
}

/// An answer that the client waits for.
#[derive(Debug)]
struct Expected {
    header: Header,
    fate: Fate,
}

/// What happens to an answer.
#[derive(Debug)]
enum Fate {
    Pass,
    Lose(Arc<RuleEntry>),
    Delay(Arc<RuleEntry>, Duration),
    Replace(Arc<RuleEntry>, Vec<u8>),
    TopicError(Arc<RuleEntry>, TopicError),
    /// The proxy's own answer: the broker never heard of the request.
    Ready(Vec<u8>),
}

/// Where in the broker's stream we are.
#[derive(Debug)]
enum Reading {
    Head(Vec<u8>),
    /// The rest of an answer passes as it comes.
    Passing {
        left: usize,
        after: Duration,
    },
    /// The answer is needed whole.
    Collecting {
        frame: BytesMut,
        length: usize,
    },
    /// The answer is replaced.
    Swallowing {
        left: usize,
        instead: Vec<u8>,
    },
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    rules: Arc<Rules>,
    told: Told,
    bounds: Bounds,
    seed: u64,
    number: u64,
    dice: BTreeMap<u64, Dice>,
    requests: BytesMut,
    reading: Reading,
    in_flight: VecDeque<Expected>,
    own_answers: Vec<Piece>,
    ended: bool,
}

impl Session {
    pub(crate) fn new(
        rules: Arc<Rules>,
        told: Told,
        bounds: Bounds,
        seed: u64,
        number: u64,
    ) -> Self {
        Self {
            rules,
            told,
            bounds,
            seed,
            number,
            dice: BTreeMap::new(),
            requests: BytesMut::new(),
            reading: Reading::Head(Vec::new()),
            in_flight: VecDeque::new(),
            own_answers: Vec::new(),
            ended: false,
        }
    }

    /// Takes the next bytes of one direction and says what goes on in that direction.
    pub(crate) fn feed(&mut self, stream: Stream, bytes: &[u8]) -> Result<Vec<Piece>, Broken> {
        let mut pieces = Vec::new();
        if !self.ended {
            match stream {
                Stream::Upstream => self.feed_requests(bytes, &mut pieces)?,
                Stream::Downstream => self.feed_answers(bytes, &mut pieces)?,
            }
        }
        Ok(pieces)
    }

    /// True if there are answers of the proxy's own to be sent.
    pub(crate) fn has_own_answers(&self) -> bool {
        !self.own_answers.is_empty()
    }

    /// The proxy's own answers that are next in order.
    pub(crate) fn take_own_answers(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.own_answers)
    }

    fn feed_requests(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), Broken> {
        self.requests.extend_from_slice(bytes);
        while let Some(length) = self
            .requests
            .first_chunk()
            .map(|length| u32::from_be_bytes(*length) as usize)
        {
            self.check_length(length, SMALLEST_REQUEST, "request")?;
            if self.requests.len() < LENGTH_BYTES + length {
                break;
            }
            let frame = self.requests.split_to(LENGTH_BYTES + length).freeze();
            self.request(frame, pieces)?;
            if self.ended {
                break;
            }
        }
        Ok(())
    }

    fn check_length(&self, length: usize, smallest: usize, what: &str) -> Result<(), Broken> {
        let fits = (smallest..=self.bounds.frame_bytes).contains(&length);
        fits.then_some(())
            .ok_or_else(|| Broken(format!("a {what} of {length} bytes")))
    }

    fn request(&mut self, frame: Bytes, pieces: &mut Vec<Piece>) -> Result<(), Broken> {
        let content = frame.get(LENGTH_BYTES..).unwrap_or_default();
        let header = request::header(content)
            .ok_or_else(|| Broken("a request without a header".to_owned()))?;
        let Header { api, version, .. } = header;
        if api != ApiKey::API_VERSIONS && version > api.highest_offered() {
            return Err(Broken(format!(
                "{api} version {version}, which was not offered"
            )));
        }
        self.rules.count_request(api);
        self.rules.frame_bytes.add(frame.len() as u64);
        let rules = self.rules.about(api);
        let body = if api == ApiKey::PRODUCE || !rules.is_empty() {
            let unreadable = || {
                Broken(format!(
                    "a request {api} version {version} that cannot be read"
                ))
            };
            request::body(header, content).ok_or_else(unreadable)?
        } else {
            Body::default()
        };
        let unanswered = body.acks == Some(0);
        let fate = match self.applying(&rules, &body) {
            None => Fate::Pass,
            Some(rule) => match self.fate(header, &body, &rule) {
                Some(fate) => fate,
                None => {
                    self.ended = true;
                    pieces.push(Piece::End(Ending::Close));
                    return Ok(());
                }
            },
        };
        let own = matches!(fate, Fate::Ready(_));
        if !unanswered {
            if self.in_flight.len() >= self.bounds.in_flight {
                return Err(Broken(format!(
                    "more than {} requests without an answer",
                    self.bounds.in_flight
                )));
            }
            self.in_flight.push_back(Expected { header, fate });
        }
        if own {
            self.flush_own_answers();
        } else {
            pieces.push(Piece::Data(frame, Duration::ZERO));
        }
        Ok(())
    }

    /// The first rule that is about this request and draws it.
    fn applying(&mut self, rules: &[Arc<RuleEntry>], body: &Body) -> Option<Arc<RuleEntry>> {
        for entry in rules {
            let about = entry
                .rule
                .topic
                .as_deref()
                .is_none_or(|name| self.asks_about(entry.api, body, name));
            let (seed, number) = (self.seed, self.number);
            let dice = self
                .dice
                .entry(entry.id)
                .or_insert_with(|| Dice::new(seed, &entry.rule.name, number));
            if about && dice.falls_within(entry.rule.share) {
                entry.counters.matched.add(1);
                return Some(Arc::clone(entry));
            }
        }
        None
    }

    fn asks_about(&self, api: ApiKey, body: &Body, name: &str) -> bool {
        let every_topic = api == ApiKey::METADATA && body.topics.is_empty();
        every_topic
            || body
                .topics
                .iter()
                .any(|topic| self.rules.is_named(&topic.name, name))
    }

    /// What a rule makes of a request; `None` refuses it.
    fn fate(&self, header: Header, body: &Body, rule: &Arc<RuleEntry>) -> Option<Fate> {
        let unanswered = body.acks == Some(0);
        Some(match rule.rule.action {
            KafkaAction::RefuseRequest if rule.acts() => return None,
            KafkaAction::RefuseRequest => Fate::Pass,
            _ if unanswered => Fate::Pass,
            KafkaAction::LoseAnswer => Fate::Lose(Arc::clone(rule)),
            KafkaAction::Delay { delay_ms } => {
                Fate::Delay(Arc::clone(rule), Duration::from_millis(delay_ms))
            }
            KafkaAction::Error { code, .. } if header.api == ApiKey::METADATA => Fate::TopicError(
                Arc::clone(rule),
                TopicError {
                    code,
                    topic: rule.rule.topic.clone(),
                },
            ),
            KafkaAction::Error { code, applied } => match answer::error(header, body, code) {
                Some(answer) if applied => Fate::Replace(Arc::clone(rule), answer),
                Some(answer) if rule.acts() => Fate::Ready(answer),
                _ => Fate::Pass,
            },
        })
    }

    fn feed_answers(&mut self, mut bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), Broken> {
        // They were next in order before these bytes came.
        pieces.append(&mut self.own_answers);
        while !bytes.is_empty() && !self.ended {
            match &mut self.reading {
                Reading::Head(head) => {
                    bytes = append(head, bytes, ANSWER_HEAD);
                    if head.len() == ANSWER_HEAD {
                        let head = std::mem::take(head);
                        self.answer_begins(&head, pieces)?;
                    }
                }
                Reading::Passing { left, after } => {
                    let (part, rest) = bytes.split_at((*left).min(bytes.len()));
                    *left -= part.len();
                    bytes = rest;
                    pieces.push(Piece::Data(Bytes::copy_from_slice(part), *after));
                }
                Reading::Collecting { frame, length } => {
                    let (part, rest) = bytes.split_at((*length - frame.len()).min(bytes.len()));
                    frame.extend_from_slice(part);
                    bytes = rest;
                }
                Reading::Swallowing { left, .. } => {
                    let skipped = (*left).min(bytes.len());
                    *left -= skipped;
                    bytes = bytes.get(skipped..).unwrap_or_default();
                }
            }
            self.answer_ends(pieces)?;
        }
        Ok(())
    }

    fn answer_begins(&mut self, head: &[u8], pieces: &mut Vec<Piece>) -> Result<(), Broken> {
        let number = |at: usize| {
            head.get(at..)
                .and_then(<[u8]>::first_chunk)
                .map_or(0, |four| u32::from_be_bytes(*four))
        };
        let (length, correlation) = (number(0) as usize, number(LENGTH_BYTES).cast_signed());
        self.check_length(length, LENGTH_BYTES, "answer")?;
        let expected = self
            .in_flight
            .front_mut()
            .filter(|expected| expected.header.correlation == correlation);
        let Some(expected) = expected else {
            return Err(Broken(format!(
                "an answer {correlation} that nothing was asked for"
            )));
        };
        let left = length - LENGTH_BYTES;
        let mut after = Duration::ZERO;
        match &mut expected.fate {
            Fate::Lose(rule) if rule.acts() => {
                self.ended = true;
                pieces.push(Piece::End(Ending::Close));
                return Ok(());
            }
            Fate::Replace(rule, answer) if rule.acts() => {
                self.reading = Reading::Swallowing {
                    left,
                    instead: std::mem::take(answer),
                };
                return Ok(());
            }
            Fate::Delay(rule, delay) if rule.acts() => after = *delay,
            _ => {}
        }
        if rewrite::concerns(expected.header.api) {
            expected.fate = match std::mem::replace(&mut expected.fate, Fate::Pass) {
                Fate::Delay(rule, _) => Fate::Delay(rule, after),
                other => other,
            };
            let frame = BytesMut::from(head.get(LENGTH_BYTES..).unwrap_or_default());
            self.reading = Reading::Collecting { frame, length };
        } else {
            pieces.push(Piece::Data(Bytes::copy_from_slice(head), after));
            self.reading = Reading::Passing { left, after };
        }
        Ok(())
    }

    /// Goes on to the next answer if this one is complete.
    fn answer_ends(&mut self, pieces: &mut Vec<Piece>) -> Result<(), Broken> {
        let complete = match &self.reading {
            Reading::Head(_) => false,
            Reading::Passing { left, .. } | Reading::Swallowing { left, .. } => *left == 0,
            Reading::Collecting { frame, length } => frame.len() == *length,
        };
        if !complete || self.ended {
            return Ok(());
        }
        let Some(expected) = self.in_flight.pop_front() else {
            return Ok(());
        };
        match std::mem::replace(&mut self.reading, Reading::Head(Vec::new())) {
            Reading::Swallowing { instead, .. } => {
                pieces.push(Piece::Data(instead.into(), Duration::ZERO))
            }
            Reading::Collecting { frame, .. } => pieces.push(self.rewritten(&expected, &frame)?),
            Reading::Head(_) | Reading::Passing { .. } => {}
        }
        self.flush_own_answers();
        pieces.append(&mut self.own_answers);
        Ok(())
    }

    fn rewritten(&self, expected: &Expected, frame: &[u8]) -> Result<Piece, Broken> {
        let error = match &expected.fate {
            Fate::TopicError(rule, error) if rule.may_act() => Some((rule, error)),
            _ => None,
        };
        let Header { api, version, .. } = expected.header;
        let unreadable = || {
            Broken(format!(
                "an answer to {api} version {version} that cannot be read"
            ))
        };
        let change = |error| {
            rewrite::answer(expected.header, frame, &self.told, error).ok_or_else(unreadable)
        };
        let mut changed = change(error.map(|(_, error)| error))?;
        if let Some((rule, _)) = error
            && changed.errors > 0
            && !rule.acts()
        {
            changed = change(None)?;
        }
        let topics: TopicIds = std::mem::take(&mut changed.topic_ids);
        self.rules.learn(topics);
        self.rules.rewritten.add(1);
        let after = match expected.fate {
            Fate::Delay(_, delay) => delay,
            _ => Duration::ZERO,
        };
        Ok(Piece::Data(answer::framed(changed.frame).into(), after))
    }

    /// Hands out the proxy's own answers whose turn it is.
    fn flush_own_answers(&mut self) {
        while let Some(Expected {
            fate: Fate::Ready(answer),
            ..
        }) = self.in_flight.front_mut()
        {
            let answer = std::mem::take(answer);
            self.own_answers
                .push(Piece::Data(answer.into(), Duration::ZERO));
            self.in_flight.pop_front();
        }
    }
}

/// Appends to `head` until it has `size` bytes; returns what is over.
fn append<'a>(head: &mut Vec<u8>, bytes: &'a [u8], size: usize) -> &'a [u8] {
    let (part, rest) = bytes.split_at((size - head.len()).min(bytes.len()));
    head.extend_from_slice(part);
    rest
}
