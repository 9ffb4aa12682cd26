//! What a kind of fault hands over when it is in force.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Cause, Witness};
use crate::testbed::Pipeline;

/// Where a fault is injected.
#[derive(Clone)]
pub(crate) struct Scene {
    /// The system of this drill.
    pub(crate) pipeline: Arc<dyn Pipeline>,
    /// Name of the fault, unique among those in force together with `number`.
    pub(crate) fault: String,
    /// Tells apart injections of one profile in one process.
    pub(crate) number: u64,
    /// Who witnesses it.
    pub(crate) witness: Witness,
    /// Seed for everything that draws lots.
    pub(crate) seed: u64,
}

impl Scene {
    /// A name for something that this injection puts somewhere, unique there.
    pub(crate) fn label(&self) -> String {
        format!("{}-{}", self.fault, self.number)
    }
}

/// A fault in force.
pub(crate) trait InForce: Send + Sync {
    /// What the witness has counted so far.
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>>;

    /// How often somebody believed what the fault shows to deceive them, so far; none where it deceives nobody.
    fn trusted(&self) -> BoxFuture<'_, Result<Option<u64>, Cause>> {
        Box::pin(async { Ok(None) })
    }

    /// Takes the fault back, goes on where something fails, and says in words what was restored. Called again after a
    /// failure, it does what is still left.
    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>>;
}
