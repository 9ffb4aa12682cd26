//! The object store of a drill: an S3 server with a bucket and credentials of its own, its files in the run's folder.

use std::{net::SocketAddr, path::PathBuf};

use local_object_store::{Access, LocalObjectStore};
use uuid::Uuid;

use super::{
    lease::RunFolder,
    ports::{Port, Ports},
};
use crate::testbed::{ObjectStoreAccess, TestbedError};

/// A drill's object store. Dropping it ends it; its files go with the run's folder at the latest.
#[derive(Debug)]
pub(super) struct DrillObjectStore {
    server: LocalObjectStore,
    folder: PathBuf,
    _port: Port,
}

impl DrillObjectStore {
    /// Starts a server with an empty bucket.
    pub(super) async fn start(
        drill: &str,
        run: &RunFolder,
        ports: &Ports,
    ) -> Result<Self, TestbedError> {
        let folder = run.make_private(&format!("object-store-{drill}"))?;
        let port = ports.reserve()?;
        let access = Access {
            bucket: format!("lake-{drill}").to_lowercase().replace('_', "-"),
            access_key: Uuid::new_v4().simple().to_string(),
            secret_key: Uuid::new_v4().simple().to_string(),
        };
        let server = LocalObjectStore::start(&folder, port.address(), access).await;
        let server = server.map_err(|error| TestbedError::Failed {
            doing: "starting the object store".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            server,
            folder,
            _port: port,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// How its bucket is reached past every proxy.
    pub(super) fn access(&self) -> ObjectStoreAccess {
        let Access {
            bucket,
            access_key,
            secret_key,
        } = self.server.access().clone();
        ObjectStoreAccess {
            url: format!("http://{}", self.server.address()),
            bucket,
            access_key,
            secret_key,
        }
    }

    /// Ends it and removes its files.
    pub(super) async fn stop(&self) {
        self.server.shutdown().await;
        let folder = self.folder.clone();
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        // The run's folder goes with everything in it, so that nothing is left either way.
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "the object store's files are removed later");
        }
    }
}
