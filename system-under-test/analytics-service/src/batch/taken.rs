//! What earlier batches have taken in, kept in memory between two of them.

use std::collections::{BTreeMap, HashSet};

use crate::domain::{Coverage, ObjectName};

/// Objects whose events are in the database.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    names: HashSet<String>,
    coverage: BTreeMap<i32, Coverage>,
}

impl Taken {
    /// Adds an object.
    pub fn add(&mut self, object: &ObjectName) {
        self.names.insert(object.to_string());
        self.coverage
            .entry(object.partition)
            .or_default()
            .add(object.first, object.next);
    }

    /// Whether an object was taken in.
    pub fn has(&self, object: &ObjectName) -> bool {
        self.names.contains(&object.to_string())
    }

    /// Which offsets are there, by partition.
    pub fn coverage(&self) -> &BTreeMap<i32, Coverage> {
        &self.coverage
    }
}
