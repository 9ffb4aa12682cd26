//! The toxics in force on one proxy, as an immutable set that every change replaces: connections compare revisions.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::{Toxic, ToxicError, ToxicHandle, ToxicKind};
use crate::counters::ToxicCounters;

/// One toxic in force, shared by all connections.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Distinguishes a toxic from an earlier one of the same name.
    pub(crate) id: u64,
    /// Counts the changes of its parameters.
    pub(crate) version: u64,
    pub(crate) toxic: Toxic,
    pub(crate) counters: Arc<ToxicCounters>,
    /// How many more answers `lose_answer` may lose.
    pub(crate) left: Arc<AtomicU64>,
}

/// All toxics of a proxy, in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub(crate) struct ToxicSet {
    pub(crate) revision: u64,
    /// Counts how often everything that is held back downstream was to be let go.
    pub(crate) releases: u64,
    pub(crate) entries: Vec<Arc<Entry>>,
}

impl ToxicSet {
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Entry>> {
        self.entries.iter().find(|entry| entry.toxic.name == name)
    }

    pub(crate) fn add(&mut self, toxic: Toxic) -> Result<ToxicHandle, ToxicError> {
        toxic.validate()?;
        if self.find(&toxic.name).is_some() {
            return Err(ToxicError::AlreadyExists);
        }
        self.revision += 1;
        let counters = Arc::new(ToxicCounters::default());
        let handle = ToxicHandle {
            name: toxic.name.clone(),
            counters: Arc::clone(&counters),
        };
        let left = Arc::new(AtomicU64::new(toxic.kind.times()));
        self.entries.push(Arc::new(Entry {
            id: self.revision,
            version: 0,
            toxic,
            counters,
            left,
        }));
        Ok(handle)
    }

    /// Changes parameters and share of connections; the counters go on.
    pub(crate) fn update(
        &mut self,
        name: &str,
        kind: ToxicKind,
        toxicity: f64,
    ) -> Result<Toxic, ToxicError> {
        let place = self
            .entries
            .iter()
            .position(|entry| entry.toxic.name == name)
            .ok_or(ToxicError::NotFound)?;
        let old = &self.entries[place];
        let toxic = Toxic {
            name: name.to_owned(),
            stream: old.toxic.stream,
            toxicity,
            kind,
        };
        toxic.validate()?;
        let entry = Entry {
            id: old.id,
            version: old.version + 1,
            counters: Arc::clone(&old.counters),
            left: Arc::new(AtomicU64::new(toxic.kind.times())),
            toxic: toxic.clone(),
        };
        self.revision += 1;
        self.entries[place] = Arc::new(entry);
        Ok(toxic)
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<Arc<Entry>, ToxicError> {
        let place = self
            .entries
            .iter()
            .position(|entry| entry.toxic.name == name)
            .ok_or(ToxicError::NotFound)?;
        self.revision += 1;
        Ok(self.entries.remove(place))
    }

    /// Lets go on at once what is held back downstream.
    pub(crate) fn release(&mut self) {
        self.revision += 1;
        self.releases += 1;
    }

    pub(crate) fn clear(&mut self) -> Vec<Arc<Entry>> {
        self.revision += 1;
        std::mem::take(&mut self.entries)
    }
}
