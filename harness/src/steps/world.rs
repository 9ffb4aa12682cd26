//! What a scenario holds while it runs.

use std::fmt;

use cucumber::World;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

use crate::drill::{Arrangement, Drill, DrillError};

/// The state of one scenario. A step that fails leaves the drill failed; later steps then do nothing, and the drill is
/// concluded all the same.
#[derive(World, Default)]
#[world(init = Self::default)]
pub struct DrillWorld {
    /// The drill; set before the first step, taken after the last.
    pub drill: Option<Drill>,
    /// Where steps note what they arrange while a scenario is only rehearsed.
    pub(super) rehearsed: Option<Arrangement>,
    /// The drill's place on the machine, until it ends.
    pub(super) place: Option<Place>,
}

/// A place on the machine.
pub(super) enum Place {
    /// Beside others.
    Shared(#[expect(dead_code, reason = "held, never read")] OwnedRwLockReadGuard<()>),
    /// With no other drill under way.
    Alone(#[expect(dead_code, reason = "held, never read")] OwnedRwLockWriteGuard<()>),
}

impl fmt::Debug for DrillWorld {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DrillWorld")
            .field("drill", &self.drill.as_ref().map(Drill::folder))
            .finish()
    }
}

impl DrillWorld {
    /// Changes what the scenario wants to find.
    pub(super) async fn arrange(&mut self, change: impl FnOnce(&mut Arrangement)) {
        if let Some(arrangement) = &mut self.rehearsed {
            change(arrangement);
            return;
        }
        self.phase(async |drill| {
            change(drill.arrange()?);
            Ok(())
        })
        .await;
    }

    /// Carries out a phase unless an earlier one has failed; notes its failure in the journal.
    pub(super) async fn phase<F>(&mut self, phase: F)
    where
        F: AsyncFnOnce(&mut Drill) -> Result<(), DrillError>,
    {
        let Some(drill) = self.drill.as_mut().filter(|drill| !drill.has_failed()) else {
            return;
        };
        if let Err(error) = phase(drill).await {
            drill.fail(&error);
        }
    }
}
