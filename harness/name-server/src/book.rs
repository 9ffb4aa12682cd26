//! What is answered about a name, and how often it was.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What a client is told that asks where a name is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Answer {
    /// The address that the name has been given.
    #[default]
    Address,
    /// There is no such name (NXDOMAIN).
    Unknown,
    /// The server cannot say (SERVFAIL).
    ServerFailing,
    /// Nothing at all.
    Silent,
}

/// How often a name's address has been asked for, by what was answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// The address was told.
    pub address: u64,
    /// There is no such name.
    pub unknown: u64,
    /// The server could not say.
    pub server_failing: u64,
    /// There was no answer.
    pub silent: u64,
}

impl Asked {
    /// How often this was answered.
    #[must_use]
    pub fn times(&self, answer: Answer) -> u64 {
        match answer {
            Answer::Address => self.address,
            Answer::Unknown => self.unknown,
            Answer::ServerFailing => self.server_failing,
            Answer::Silent => self.silent,
        }
    }

    fn count(&mut self, answer: Answer) {
        let counter = match answer {
            Answer::Address => &mut self.address,
            Answer::Unknown => &mut self.unknown,
            Answer::ServerFailing => &mut self.server_failing,
            Answer::Silent => &mut self.silent,
        };
        *counter += 1;
    }
}

#[derive(Debug, Default)]
struct Entry {
    address: Option<Ipv4Addr>,
    answer: Answer,
    asked: Asked,
}

/// The names, in small letters and without the dot at the end.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: Mutex<BTreeMap<String, Entry>>,
}

/// What a question gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The name is there.
    Address(Ipv4Addr),
    /// The name exists, but has nothing of the kind that was asked for.
    NothingOfThatKind,
    /// NXDOMAIN.
    Unknown,
    /// SERVFAIL.
    ServerFailing,
    /// No answer.
    Silence,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn place(&self, name: &str, address: Ipv4Addr) {
        self.locked().entry(key(name)).or_default().address = Some(address);
    }

    pub(crate) fn address_of(&self, name: &str) -> Option<Ipv4Addr> {
        self.locked().get(&key(name))?.address
    }

    pub(crate) fn answer(&self, name: &str, answer: Answer) {
        self.locked().entry(key(name)).or_default().answer = answer;
    }

    pub(crate) fn asked(&self, name: &str) -> Asked {
        let entries = self.locked();
        entries
            .get(&key(name))
            .map_or_else(Asked::default, |entry| entry.asked)
    }

    /// Decides what a question gets; those for the address are counted. Names that nobody was told of are unknown and are
    /// not kept: whoever asks for many must not fill the memory.
    pub(crate) fn reply(&self, name: &str, for_address: bool) -> Reply {
        let mut entries = self.locked();
        let Some(entry) = entries.get_mut(&key(name)) else {
            return Reply::Unknown;
        };
        let answer = match (entry.answer, entry.address) {
            (Answer::Address, None) => Answer::Unknown,
            (answer, _) => answer,
        };
        if for_address {
            entry.asked.count(answer);
        }
        match (answer, entry.address) {
            (Answer::Address, Some(address)) if for_address => Reply::Address(address),
            (Answer::Address, _) => Reply::NothingOfThatKind,
            (Answer::Unknown, _) => Reply::Unknown,
            (Answer::ServerFailing, _) => Reply::ServerFailing,
            (Answer::Silent, _) => Reply::Silence,
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
