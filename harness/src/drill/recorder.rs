//! The journal of a drill, written as things happen, one system call a record: a crash loses nothing that was recorded.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
};

use firedrill_oracle::record::{DrillHeader, Record};
use tokio::time::Instant;

use crate::workload::customers::micros;

/// Writes `journal.jsonl`.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    clock: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Option<File>,
    facts: u64,
    failure: Option<String>,
}

impl Recorder {
    /// Creates the journal and writes its first line. A journal that cannot be written does not stop the drill, it
    /// makes its verdict undetermined: see [`Recorder::failure`].
    pub fn create(path: PathBuf, clock: Instant, header: DrillHeader) -> Self {
        let (file, failure) = match File::create(&path) {
            Ok(file) => (Some(file), None),
            Err(error) => (
                None,
                Some(format!("{} could not be created: {error}", path.display())),
            ),
        };
        let recorder = Self {
            path,
            clock,
            state: Mutex::new(State {
                file,
                facts: 0,
                failure,
            }),
        };
        recorder.write(&Record::Drill(header));
        recorder
    }

    /// The journal's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Microseconds since the drill began.
    pub fn now_us(&self) -> u64 {
        micros(self.clock)
    }

    /// Appends a record.
    pub fn write(&self, record: &Record) {
        self.append(std::slice::from_ref(record));
    }

    /// Appends records in one go.
    pub fn write_all(&self, records: &[Record]) {
        self.append(records);
    }

    /// How many facts were written.
    pub fn facts(&self) -> u64 {
        self.locked().facts
    }

    /// Why the journal is not to be trusted, if it is not.
    pub fn failure(&self) -> Option<String> {
        self.locked().failure.clone()
    }

    fn append(&self, records: &[Record]) {
        let mut lines = Vec::with_capacity(records.len() * 128);
        let mut facts = 0;
        let mut failure = None;
        for record in records {
            facts += u64::from(matches!(record, Record::Fact(_)));
            if let Err(error) = serde_json::to_writer(&mut lines, record) {
                failure = Some(format!("a record could not be written as JSON: {error}"));
            }
            lines.push(b'\n');
        }
        let mut state = self.locked();
        state.facts += facts;
        if let Some(file) = &mut state.file
            && let Err(error) = file.write_all(&lines)
        {
            failure = Some(format!(
                "{} could not be written: {error}",
                self.path.display()
            ));
        }
        if state.failure.is_none() {
            state.failure = failure;
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
