//! `rows_locked`: somebody holds a lock in the database and does not let go.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{
    Cause, Mistake, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    processes::{Work, locked, pause},
};
use crate::mechanism::{
    MechanismError,
    postgres::{Covered, HeldLock, Waiting},
};

/// How often the database is asked who waits.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A transaction of somebody else holds rows, or a whole table, of a component's database until the fault heals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowsLocked {
    /// The component whose database is meant.
    pub component: String,
    /// The table.
    pub table: String,
    /// SQL condition that the locked rows meet; all rows when it is left out.
    #[serde(default)]
    pub rows: Option<String>,
    /// Locks the whole table, against readers as well.
    #[serde(default)]
    pub whole_table: bool,
}

impl FaultKind for RowsLocked {
    const NAME: &'static str = "rows_locked";
    const EXAMPLE: &'static str = r#"When the fault "stock-locked" is injected for 1 second"#;
    const WITNESSES: &'static [Witness] = &[Witness::StatementsWaiting];

    fn target(&self) -> String {
        format!("table {} of {}", self.table, self.component)
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("component", Named::Component(&self.component))]
    }

    fn mistakes(&self) -> Vec<Mistake> {
        if self.whole_table && self.rows.is_some() {
            return vec![Mistake::new(
                "rows",
                "the whole table is locked already",
                "keep `rows` or `whole_table`",
            )];
        }
        Vec::new()
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let url = scene.pipeline.database_url(&self.component);
        let url = url.ok_or_else(|| Cause::NoTarget {
            target: format!("database of {}", self.component),
            remedy: "name a component that has one".to_owned(),
        })?;
        let covered = if self.whole_table {
            Covered::Table
        } else {
            Covered::Rows(self.rows.clone())
        };
        let lock = HeldLock::take(&url, &self.table, &covered).await?;
        let waiting = Waiting::on(&url, lock.backend()).await?;
        let mut held = Held {
            what: self.target(),
            lock: Some(lock),
            waited: Arc::default(),
            failure: Arc::default(),
            work: Work::default(),
        };
        let watch = watch(
            waiting,
            Arc::clone(&held.waited),
            Arc::clone(&held.failure),
            held.work.stop.clone(),
        );
        held.work.spawn(watch);
        Ok(Box::new(held))
    }
}

async fn watch(
    mut waiting: Waiting,
    waited: Arc<Mutex<BTreeSet<String>>>,
    failure: Arc<Mutex<Option<MechanismError>>>,
    stop: CancellationToken,
) {
    while pause(LOOK_EVERY, &stop).await {
        match waiting.now().await {
            Ok(statements) => locked(&waited).extend(statements),
            Err(error) => {
                *locked(&failure) = Some(error);
                return;
            }
        }
    }
}

struct Held {
    what: String,
    lock: Option<HeldLock>,
    /// Statements that were seen waiting.
    waited: Arc<Mutex<BTreeSet<String>>>,
    failure: Arc<Mutex<Option<MechanismError>>>,
    work: Work,
}

impl InForce for Held {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async {
            if let Some(failure) = locked(&self.failure).clone() {
                return Err(failure.into());
            }
            Ok(locked(&self.waited).len() as u64)
        })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(async {
            self.work.finish().await?;
            if let Some(mut lock) = self.lock.take() {
                lock.release().await?;
            }
            Ok(vec![format!("{} is not locked", self.what)])
        })
    }
}
