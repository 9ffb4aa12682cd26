//! `secret_rotated`: the database takes another password from a component, which is told of it only when the fault heals.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, join_all};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{
    Cause, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
};
use crate::{
    mechanism::refused_logins::RefusedLogins,
    testbed::{Pipeline, TestbedError},
};

/// An instance that is not ready within this time after it was told the new password has not taken it up.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(5);

/// The database takes a new password from a component and no longer the old one, and what the component had opened is ended; when the fault heals, the component's file holds the new password as well, and nothing is restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRotated {
    /// The component whose database password is changed; it reads it in `{database_password_file}`.
    pub component: String,
}

impl FaultKind for SecretRotated {
    const NAME: &'static str = "secret_rotated";
    const EXAMPLE: &'static str = r#"When the fault "order-database-password-rotated" is injected until it was felt 10 times"#;
    const WITNESSES: &'static [Witness] = &[Witness::LoginsRefused];

    fn target(&self) -> String {
        format!("database password of {}", self.component)
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        vec![("component", Named::Component(&self.component))]
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let pipeline = scene.pipeline;
        let login = pipeline.database_login(&self.component);
        let login = login.ok_or_else(|| Cause::NoTarget {
            target: format!("database of {}", self.component),
            remedy: "name a component that has one".to_owned(),
        })?;
        let refused = RefusedLogins::from_now_on(&login.server_log, &login.user).await?;
        let changed = pipeline.change_database_password(&self.component).await;
        let rotated = Rotated {
            component: self.component.clone(),
            pipeline,
            refused: Mutex::new(refused),
        };
        match changed {
            Ok(()) => Ok(Box::new(rotated)),
            // Whichever password the database takes now: both sides have the same again.
            Err(failure) => match rotated.tell().await {
                Ok(()) => Err(failure.into()),
                Err(also) => Err(Cause::Several(vec![failure.into(), also])),
            },
        }
    }
}

/// A password that the database takes and its component does not know.
struct Rotated {
    component: String,
    pipeline: Arc<dyn Pipeline>,
    refused: Mutex<RefusedLogins>,
}

impl Rotated {
    async fn tell(&self) -> Result<(), Cause> {
        let told = self.pipeline.tell_database_password(&self.component).await;
        Ok(told?)
    }

    /// Waits until an instance is ready with the new password, and says what came of it.
    async fn wait_for(&self, instance: &str) -> Result<String, Cause> {
        match self.pipeline.ready(instance, TAKEN_UP_WITHIN).await {
            Ok(()) => Ok(format!("{instance} is ready with the new password")),
            // Both sides agree, so the fault is over. An instance that does not come back by itself is not started again:
            // whom it goes on refusing is what the drill is to find.
            Err(TestbedError::NotReady { .. }) => Ok(format!(
                "{instance} was told the new password and is not ready"
            )),
            Err(failure) => Err(failure.into()),
        }
    }
}

impl InForce for Rotated {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async { Ok(self.refused.lock().await.count().await?) })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(async {
            self.tell().await?;
            let instances = self.pipeline.instances(&self.component);
            let waiting = instances.iter().map(|instance| self.wait_for(instance));
            let mut restored = vec![format!("{} was told the new password", self.component)];
            let mut failures = Vec::new();
            for outcome in join_all(waiting).await {
                match outcome {
                    Ok(words) => restored.push(words),
                    Err(failure) => failures.push(failure),
                }
            }
            Cause::of_all(failures)?;
            Ok(restored)
        })
    }
}
