//! The databases of one drill: how its components log in to them, and how the harness looks into them.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    infrastructure::{DatabaseServer, Infrastructure},
    password_files::PasswordFiles,
    postgres::ComponentDatabase,
    prepare::in_background,
};
use crate::testbed::{DatabaseLogin, TestbedError};

/// The databases that a drill has got. Dropped, they go back.
#[derive(Debug)]
pub(super) struct DrillDatabases {
    infrastructure: Arc<Infrastructure>,
    leased: Mutex<Vec<ComponentDatabase>>,
    files: Arc<PasswordFiles>,
}

impl DrillDatabases {
    /// Takes a database for every component that wants one, and tells each its password.
    pub(super) async fn lease(
        infrastructure: &Arc<Infrastructure>,
        drill: &str,
    ) -> Result<Self, TestbedError> {
        let files = PasswordFiles::make(infrastructure.run.path(), drill)?;
        let leased = match &infrastructure.database_server {
            Some(server) => server.databases.lease(drill).await?,
            None => Vec::new(),
        };
        let databases = Self {
            infrastructure: Arc::clone(infrastructure),
            leased: Mutex::new(leased.clone()),
            files: Arc::new(files),
        };
        databases.tell(leased).await?;
        Ok(databases)
    }

    /// The database that a component uses, its own or the one that it shares.
    pub(super) fn of(&self, component: &str) -> Option<ComponentDatabase> {
        let components = &self.infrastructure.topology.components;
        let owner = components.get(component)?.database_owner();
        let leased = self.leased();
        let found = leased.iter().find(|database| database.component == owner);
        found.cloned()
    }

    /// The file in which a component reads its password.
    pub(super) fn password_file(&self, component: &str) -> Option<PathBuf> {
        Some(self.files.of(&self.of(component)?))
    }

    /// A connection string for the harness.
    pub(super) fn url(&self, component: &str) -> Option<String> {
        let server = self.infrastructure.database_server.as_ref()?;
        Some(server.databases.url(&self.of(component)?))
    }

    /// How a component logs in.
    pub(super) fn login(&self, component: &str) -> Option<DatabaseLogin> {
        let server = self.infrastructure.database_server.as_ref()?;
        Some(DatabaseLogin {
            user: self.of(component)?.user,
            server_log: server.cluster.log().to_owned(),
        })
    }

    /// Gives a component's login another password at the server, and ends its sessions.
    pub(super) async fn change_password(&self, component: &str) -> Result<(), TestbedError> {
        let (server, database) = self.known(component)?;
        let password = server.databases.change_password(&database).await?;
        for leased in &mut *self.leased() {
            if leased.component == database.component {
                leased.password.clone_from(&password);
            }
        }
        server.databases.end_sessions(&database).await
    }

    /// Puts the password that the server takes now where a component reads it.
    pub(super) async fn tell_password(&self, component: &str) -> Result<(), TestbedError> {
        let (_, database) = self.known(component)?;
        self.tell(vec![database]).await
    }

    /// Gives the databases back and removes the files.
    pub(super) async fn end(&self) {
        self.give_back();
        let files = Arc::clone(&self.files);
        let removed = tokio::task::spawn_blocking(move || files.remove()).await;
        // The run's folder goes with everything in it, so that nothing is left either way.
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "the passwords are removed later");
        }
    }

    async fn tell(&self, databases: Vec<ComponentDatabase>) -> Result<(), TestbedError> {
        let files = Arc::clone(&self.files);
        let telling = move || databases.iter().try_for_each(|one| files.tell(one));
        in_background("telling passwords", telling).await
    }

    fn known(&self, component: &str) -> Result<(&DatabaseServer, ComponentDatabase), TestbedError> {
        let server = self.infrastructure.database_server.as_ref();
        server
            .zip(self.of(component))
            .ok_or_else(|| TestbedError::Failed {
                doing: format!("looking for the database of {component}"),
                reason: "it has none".to_owned(),
            })
    }

    fn leased(&self) -> MutexGuard<'_, Vec<ComponentDatabase>> {
        self.leased.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self) {
        let leased = std::mem::take(&mut *self.leased());
        if let Some(server) = &self.infrastructure.database_server {
            server.databases.give_back(leased);
        }
    }
}

impl Drop for DrillDatabases {
    fn drop(&mut self) {
        self.give_back();
    }
}
