//! One direction of a connection: reads, asks the toxics what is to happen and when, and makes it happen.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::connection::{Link, READ_BYTES};
use super::locked;
use crate::conversation::HandshakeEnd;
use crate::kafka::session::Piece;
use crate::toxic::chain::{Item, What};
use crate::toxic::set::ToxicSet;
use crate::toxic::{Ending, Stream};

/// What comes next.
enum Step {
    /// The first item is data, and due.
    Write,
    /// The first item is due then.
    Wait(Instant),
    /// Nothing is queued.
    Idle,
    /// The direction is done: its end was passed on.
    Done,
}

/// One direction of one connection.
pub(super) struct Pump<'a> {
    link: &'a Link<'a>,
    stream: Stream,
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    toxics: watch::Receiver<ToxicSet>,
    queue: VecDeque<Item>,
    queued_bytes: usize,
    /// False once nothing more is to be read: the stream ended, or the connection is about to.
    reading: bool,
    deadline: Option<Instant>,
    buffer: Vec<u8>,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        link: &'a Link<'a>,
        stream: Stream,
        from: ReadHalf<'a>,
        to: WriteHalf<'a>,
    ) -> Self {
        Self {
            link,
            stream,
            from,
            to,
            toxics: link.shared.toxics.subscribe(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            reading: true,
            deadline: None,
            buffer: vec![0; READ_BYTES],
        }
    }

    /// Copies until the stream's end was passed on; an error is the way in which the whole connection ends.
    pub(super) async fn run(mut self) -> Result<(), Ending> {
        loop {
            self.take_over_toxics()?;
            let wait = match self.next_step().await? {
                Step::Done => return Ok(()),
                Step::Write => {
                    self.write_or_read().await?;
                    continue;
                }
                Step::Wait(due) => Some(due),
                Step::Idle => None,
            };
            let wants_more = self.wants_more();
            tokio::select! {
                biased;
                changed = self.toxics.changed() => changed.map_err(|_| Ending::Close)?,
                () = self.link.wake[self.stream.index()].notified() => self.own_answers(),
                () = at(self.deadline) => {}
                () = at(wait) => {}
                ready = self.from.readable(), if wants_more => self.read(ready)?,
            }
        }
    }

    /// Waits for the receiver to take what is due, and reads on as long as there is room.
    async fn write_or_read(&mut self) -> Result<(), Ending> {
        let wants_more = self.wants_more();
        tokio::select! {
            biased;
            changed = self.toxics.changed() => changed.map_err(|_| Ending::Close),
            () = at(self.deadline) => Ok(()),
            ready = self.to.writable() => self.write(ready),
            ready = self.from.readable(), if wants_more => self.read(ready),
        }
    }

    fn wants_more(&self) -> bool {
        self.reading && self.queued_bytes < self.link.shared.limits.queue_bytes
    }

    fn take_over_toxics(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        let mut chain = locked(&self.link.chain);
        chain.reconcile(&self.toxics.borrow_and_update(), now);
        if let Some(ending) = chain.ending(now) {
            return Err(ending);
        }
        self.deadline = chain.deadline();
        if chain.take_released(self.stream) {
            for item in &mut self.queue {
                item.due = item.due.min(now);
            }
        }
        Ok(())
    }

    /// Looks at the first item, and does what needs no waiting.
    async fn next_step(&mut self) -> Result<Step, Ending> {
        let now = Instant::now();
        let Some(first) = self.queue.front() else {
            return Ok(Step::Idle);
        };
        let held = locked(&self.link.chain).held_until(self.stream, now);
        let due = held.map_or(first.due, |until| until.max(first.due));
        if due > now {
            return Ok(Step::Wait(due));
        }
        match first.what {
            What::Data(_) => Ok(Step::Write),
            What::End(ending) => Err(ending),
            What::EndOfStream => {
                self.queue.pop_front();
                self.to
                    .shutdown()
                    .await
                    .map_err(|error| self.broken(&error))?;
                Ok(Step::Done)
            }
        }
    }

    fn read(&mut self, ready: io::Result<()>) -> Result<(), Ending> {
        let read = ready.and_then(|()| self.from.try_read(&mut self.buffer));
        match read {
            Ok(0) => self.end_of_stream(),
            Ok(bytes) => self.arrived(Bytes::copy_from_slice(&self.buffer[..bytes]))?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(self.broken(&error)),
        }
        Ok(())
    }

    fn arrived(&mut self, bytes: Bytes) -> Result<(), Ending> {
        let Some(session) = &self.link.kafka else {
            self.pass(bytes, Duration::ZERO);
            return Ok(());
        };
        let (fed, has_own_answers) = {
            let mut session = locked(session);
            (session.feed(self.stream, &bytes), session.has_own_answers())
        };
        match fed {
            Ok(pieces) => self.pass_pieces(pieces),
            Err(broken) => {
                self.link.shared.rules.broken.add(1);
                warn!(proxy = self.link.shared.name, stream = self.stream.name(), %broken, "connection closed");
                return Err(Ending::Close);
            }
        }
        if has_own_answers {
            self.link.wake[Stream::Downstream.index()].notify_one();
        }
        Ok(())
    }

    /// Passes on what the proxy answers itself.
    fn own_answers(&mut self) {
        if let (Stream::Downstream, Some(session)) = (self.stream, &self.link.kafka) {
            let pieces = locked(session).take_own_answers();
            self.pass_pieces(pieces);
        }
    }

    fn pass_pieces(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            match piece {
                Piece::Data(bytes, after) => self.pass(bytes, after),
                Piece::End(ending) => self.enqueue(Item {
                    due: Instant::now(),
                    what: What::End(ending),
                }),
            }
        }
    }

    /// Sends data through the toxics.
    fn pass(&mut self, bytes: Bytes, after: Duration) {
        let now = Instant::now();
        let (items, requests_wait, handshake) = {
            let mut chain = locked(&self.link.chain);
            chain.reconcile(&self.toxics.borrow(), now);
            let items = chain.pass(self.stream, bytes, now);
            let requests_wait = chain.held_until(Stream::Upstream, now).is_some();
            (items, requests_wait, chain.take_handshake_end())
        };
        let counters = &self.link.shared.counters;
        match handshake {
            Some(HandshakeEnd::Finished) => counters.handshakes_finished.add(1),
            Some(HandshakeEnd::Refused) => counters.handshakes_refused.add(1),
            None => {}
        }
        for mut item in items {
            item.due += after;
            self.enqueue(item);
        }
        if requests_wait && self.stream == Stream::Downstream {
            self.link.wake[Stream::Upstream.index()].notify_one();
        }
    }

    fn end_of_stream(&mut self) {
        self.reading = false;
        let end = locked(&self.link.chain).pass_end(self.stream, Instant::now());
        if let Some(item) = end {
            self.enqueue(item);
        }
    }

    /// Appends an item, never due before those in front of it.
    fn enqueue(&mut self, mut item: Item) {
        if let Some(last) = self.queue.back() {
            item.due = item.due.max(last.due);
        }
        match &item.what {
            What::Data(bytes) => self.queued_bytes += bytes.len(),
            What::EndOfStream | What::End(_) => self.reading = false,
        }
        self.queue.push_back(item);
    }

    /// Writes as much of the first item as the receiver takes.
    fn write(&mut self, ready: io::Result<()>) -> Result<(), Ending> {
        let Some(Item {
            what: What::Data(bytes),
            ..
        }) = self.queue.front_mut()
        else {
            return Ok(());
        };
        let written = match ready.and_then(|()| self.to.try_write(bytes)) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(self.broken(&error)),
        };
        bytes.advance(written);
        if bytes.is_empty() {
            self.queue.pop_front();
        }
        self.queued_bytes -= written;
        let counters = &self.link.shared.counters;
        match self.stream {
            Stream::Upstream => counters.upstream_bytes.add(written as u64),
            Stream::Downstream => counters.downstream_bytes.add(written as u64),
        }
        Ok(())
    }

    /// A socket failed: the other side learns it by a reset as well.
    fn broken(&self, error: &io::Error) -> Ending {
        debug!(proxy = self.link.shared.name, stream = self.stream.name(), %error, "the connection broke");
        Ending::Reset
    }
}

/// Never, if there is no such time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
