//! Messages of one partition taken together, for work that is dear each time and cheap for many.

use std::future::Future;
use std::time::Duration;

use super::consumer::Work;
use super::message::{Failure, Received};

/// How many messages of one partition are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most messages.
    pub messages: usize,
    /// Most bytes of payload; one message alone may have more.
    pub bytes: usize,
    /// How long the first message waits for others, unless a full batch waits already.
    pub linger: Duration,
}

/// A message of a batch that can never be processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its place in the batch.
    pub index: usize,
    /// Why, for the dead-letter topic.
    pub reason: String,
}

/// What a service does with messages of one partition that follow each other. It may be called again with the same
/// messages divided otherwise, also at the same time on another instance.
pub trait BatchWork: Send + Sync + 'static {
    /// How much is taken together.
    fn limits(&self) -> BatchLimits;
    /// Does the work of a batch, which is never empty; says which of its messages are to be parked. They are parked
    /// before the batch is committed; when that fails the batch is processed again.
    fn process(
        &self,
        batch: &[Received],
    ) -> impl Future<Output = Result<Vec<Refused>, Failure>> + Send;
}

/// One message at a time.
pub(super) struct OneByOne<W>(pub(super) W);

impl<W: Work> BatchWork for OneByOne<W> {
    fn limits(&self) -> BatchLimits {
        BatchLimits {
            messages: 1,
            bytes: usize::MAX,
            linger: Duration::ZERO,
        }
    }

    async fn process(&self, batch: &[Received]) -> Result<Vec<Refused>, Failure> {
        for message in batch {
            self.0.process(message).await?;
        }
        Ok(Vec::new())
    }
}
