//! `deadlock`: somebody takes the same rows the other way round, so that transactions wait for each other in a circle.

use std::{
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
    deadlock::{Crosswise, Deadlocks, Taken},
    postgres::Waiting,
};

/// How often the database is asked who waits.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What others may do between two circles.
const BREATHER: Duration = Duration::from_millis(100);

/// A transaction of somebody else takes rows or tables of a component's database in the opposite order, again and again.
///
/// It holds the first, waits until a transaction of the component waits for them, and then asks for the others. The
/// database ends the one that waited first (SQLSTATE 40P01).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deadlock {
    /// The component whose database is meant.
    pub component: String,
    /// What the fault takes first: what the component takes last.
    pub first: Locked,
    /// What the fault takes then: what the component takes first.
    pub then: Locked,
}

/// Something in a database that one transaction keeps from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The table.
    pub table: String,
    /// SQL condition that the rows meet; when it is left out the table is kept from everybody who writes to it.
    #[serde(default)]
    pub rows: Option<String>,
}

impl FaultKind for Deadlock {
    const NAME: &'static str = "deadlock";
    const EXAMPLE: &'static str =
        r#"When the fault "stock-taken-crosswise" is injected until it was felt 2 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::DeadlocksResolved];

    fn target(&self) -> String {
        match self.first.table == self.then.table {
            true => format!("table {} of {}", self.first.table, self.component),
            false => format!(
                "tables {} and {} of {}",
                self.then.table, self.first.table, self.component
            ),
        }
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("component", Named::Component(&self.component))]
    }

    fn mistakes(&self) -> Vec<Mistake> {
        if self.first == self.then {
            return vec![Mistake::new(
                "then",
                "who takes the same twice waits for nobody",
                "name something else than in `first`",
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
        let mut deadlocks = Deadlocks::of(&url).await?;
        let before = deadlocks.resolved().await?;
        let mut crosswise = Crosswise::connect(&url).await?;
        for locked in [&self.first, &self.then] {
            crosswise
                .check(&locked.table, locked.rows.as_deref())
                .await?;
        }
        let waiting = Waiting::on(&url, crosswise.backend()).await?;
        let circle = Circle {
            fault: self.clone(),
            crosswise,
            waiting,
            tally: Arc::default(),
        };
        let mut in_force = Crossing {
            what: self.target(),
            deadlocks: tokio::sync::Mutex::new(deadlocks),
            before,
            tally: Arc::clone(&circle.tally),
            work: Work::default(),
        };
        let stop = in_force.work.stop.clone();
        in_force.work.spawn(circle.close_again_and_again(stop));
        Ok(Box::new(in_force))
    }
}

/// What the fault knows of itself.
#[derive(Debug, Default)]
struct Tally {
    /// How often the database ended the fault's own transaction.
    own_victims: u64,
    failure: Option<MechanismError>,
}

struct Circle {
    fault: Deadlock,
    crosswise: Crosswise,
    waiting: Waiting,
    tally: Arc<Mutex<Tally>>,
}

impl Circle {
    async fn close_again_and_again(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(failure) = self.close(&stop).await {
                locked(&self.tally).failure = Some(failure);
                return;
            }
            if !pause(BREATHER, &stop).await {
                return;
            }
        }
    }

    /// Takes the first rows, waits until somebody wants them, and asks for the others.
    async fn close(&mut self, stop: &CancellationToken) -> Result<(), MechanismError> {
        self.crosswise.begin().await?;
        let mut taken = self.take(&self.fault.first.clone()).await?;
        if taken == Taken::All {
            while self.waiting.now().await?.is_empty() {
                if !pause(LOOK_EVERY, stop).await {
                    return self.crosswise.let_go().await;
                }
            }
            taken = self.take(&self.fault.then.clone()).await?;
        }
        if taken == Taken::NothingAsVictim {
            locked(&self.tally).own_victims += 1;
        }
        self.crosswise.let_go().await
    }

    async fn take(&mut self, locked: &Locked) -> Result<Taken, MechanismError> {
        let rows = locked.rows.as_deref();
        self.crosswise.take(&locked.table, rows).await
    }
}

struct Crossing {
    what: String,
    deadlocks: tokio::sync::Mutex<Deadlocks>,
    before: u64,
    tally: Arc<Mutex<Tally>>,
    work: Work,
}

impl InForce for Crossing {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async {
            let own_victims = {
                let tally = locked(&self.tally);
                if let Some(failure) = tally.failure.clone() {
                    return Err(failure.into());
                }
                tally.own_victims
            };
            let resolved = self.deadlocks.lock().await.resolved().await?;
            Ok(resolved
                .saturating_sub(self.before)
                .saturating_sub(own_victims))
        })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(async {
            self.work.finish().await?;
            Ok(vec![format!("nobody takes {} crosswise", self.what)])
        })
    }
}
