//! An S3 server in this process, with one bucket: what a drill's services take for their data lake.
//!
//! It is a test double, never a product. It speaks S3's own protocol with signed requests (`s3s`), keeps objects as files
//! in a folder that its owner gives it (`s3s-fs`: a put is written beside and moved into place, so an object appears
//! whole or not at all), listens in the clear, and is gone with its owner. Faults belong to the link in front of it.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long connections may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// What a client needs besides the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The one bucket there is.
    pub bucket: String,
    /// The name that requests are signed with.
    pub access_key: String,
    /// The secret that requests are signed with.
    pub secret_key: String,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ObjectStoreError {
    /// The bucket's name would lead out of the folder, or S3 would refuse it.
    #[error("`{0}` cannot be a bucket: use 3 to 63 small letters, digits and `-`")]
    Bucket(String),
    /// The folder cannot be used.
    #[error("the objects' folder {folder}: {reason}")]
    Folder {
        /// The folder.
        folder: String,
        /// What the system said.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("listening on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A running server. Dropping it ends it; the folder is its owner's to remove.
#[derive(Debug)]
pub struct LocalObjectStore {
    address: SocketAddr,
    folder: PathBuf,
    access: Access,
    stop: CancellationToken,
    serving: Mutex<Option<JoinHandle<()>>>,
}

impl LocalObjectStore {
    /// Serves the bucket of `access` from `folder`, which exists, at `address`. When this returns it accepts connections.
    ///
    /// # Errors
    /// [`ObjectStoreError`].
    pub async fn start(
        folder: &Path,
        address: SocketAddr,
        access: Access,
    ) -> Result<Self, ObjectStoreError> {
        if !is_bucket_name(&access.bucket) {
            return Err(ObjectStoreError::Bucket(access.bucket));
        }
        let service = service(folder, &access)?;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ObjectStoreError::Listen { address, source })?;
        let address = listener
            .local_addr()
            .map_err(|source| ObjectStoreError::Listen { address, source })?;
        let routes = Router::new().fallback(move |request| answer(service.clone(), request));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            let served = axum::serve(listener, routes).with_graceful_shutdown(stopped);
            if let Err(error) = served.await {
                tracing::error!(%error, "the object store ended");
            }
        });
        Ok(Self {
            address,
            folder: folder.to_owned(),
            access,
            stop,
            serving: Mutex::new(Some(serving)),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bucket and its credentials.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The folder that holds the bucket's objects as files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends all connections, within two seconds; afterwards nothing listens and no task is left.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let serving = self
            .serving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut serving) = serving else {
            return;
        };
        // Clients keep connections open for as long as they like.
        if tokio::time::timeout(STOP_LIMIT, &mut serving)
            .await
            .is_err()
        {
            serving.abort();
        }
    }
}

impl Drop for LocalObjectStore {
    fn drop(&mut self) {
        let serving = self
            .serving
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(serving) = serving.take() {
            serving.abort();
        }
    }
}

fn service(folder: &Path, access: &Access) -> Result<S3Service, ObjectStoreError> {
    let failed = |reason: String| ObjectStoreError::Folder {
        folder: folder.display().to_string(),
        reason,
    };
    std::fs::create_dir_all(folder.join(&access.bucket))
        .map_err(|error| failed(error.to_string()))?;
    let files = s3s_fs::FileSystem::new(folder).map_err(|error| failed(format!("{error:?}")))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(
        access.access_key.as_str(),
        access.secret_key.as_str(),
    ));
    Ok(builder.build())
}

async fn answer(service: S3Service, request: Request) -> Response {
    match service.call(request.map(s3s::Body::http_body_unsync)).await {
        Ok(response) => response.map(axum::body::Body::new).into_response(),
        Err(error) => {
            tracing::warn!(?error, "a request to the object store failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn is_bucket_name(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
