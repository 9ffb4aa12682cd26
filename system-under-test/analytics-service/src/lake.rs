//! The data lake: every request to the object store.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{DnsFuture, DnsResolver};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
};
use service_kit::defences::Defences;
use service_kit::names::Names;

use crate::config::LakeSettings;
use crate::defences::Defence;
use crate::domain::ObjectName;

/// Most bytes of one object; larger ones are not ours.
const OBJECT_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// The data lake.
#[derive(Debug, Clone)]
pub struct Lake {
    store: AmazonS3,
    defences: Defences<Defence>,
}

/// Why something was not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The store refused, or is out of reach.
    #[error("the data lake: {0}")]
    Store(#[from] Error),
    /// An object that is larger than any of ours.
    #[error(
        "the object {name} has {bytes} bytes, more than the {OBJECT_LIMIT_BYTES} that are read"
    )]
    TooLarge {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
    },
}

/// What a put found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The object is new.
    Created,
    /// It was there: the same messages were written before.
    Existed,
}

/// Looks the store's name up where the service looks all of them up.
#[derive(Debug)]
struct StoreName(AssertUnwindSafe<Names>);

impl DnsResolver for StoreName {
    fn resolve(&self, host: &str) -> DnsFuture {
        let (names, host) = (self.0.clone(), host.to_owned());
        Box::pin(async move { names.look_up(&host).await })
    }
}

impl Lake {
    /// A client. It connects when it is first used, and never tries a request again by itself: whoever asked hears of
    /// every failure.
    ///
    /// # Errors
    /// Settings that make no address.
    pub fn new(settings: &LakeSettings, defences: Defences<Defence>) -> Result<Self, LakeError> {
        let names = StoreName(AssertUnwindSafe(settings.names.clone()));
        let options = ClientOptions::new()
            .with_timeout(settings.request_limit)
            .with_connect_timeout(settings.connect_limit)
            .with_dns_resolver(Arc::new(names))
            .with_allow_http(true);
        let retry = RetryConfig {
            max_retries: 0,
            retry_timeout: settings.request_limit,
            ..RetryConfig::default()
        };
        let store = AmazonS3Builder::new()
            .with_endpoint(&settings.endpoint)
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_access_key_id(&settings.access_key)
            .with_secret_access_key(&settings.secret_key)
            .with_client_options(options)
            .with_retry(retry)
            .build()?;
        Ok(Self { store, defences })
    }

    /// Writes an object under a name that stands for its content. A name that is taken means that the object is written
    /// already, as one put makes an object appear whole or not at all.
    ///
    /// # Errors
    /// [`LakeError::Store`]; whether the object is there is then unknown, and putting it again is safe.
    pub async fn put(&self, name: &ObjectName, text: Vec<u8>) -> Result<Put, LakeError> {
        let path = Path::from(name.to_string());
        if self.defences.on(Defence::AtomicPut) {
            return self.create(&path, text.into()).await;
        }
        let half = text[..text.len() / 2].to_vec();
        if self.create(&path, half.into()).await? == Put::Existed {
            return Ok(Put::Existed);
        }
        self.store.put(&path, text.into()).await?;
        Ok(Put::Created)
    }

    async fn create(&self, path: &Path, payload: PutPayload) -> Result<Put, LakeError> {
        match self
            .store
            .put_opts(path, payload, PutMode::Create.into())
            .await
        {
            Ok(_) => Ok(Put::Created),
            Err(Error::AlreadyExists { .. }) => Ok(Put::Existed),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of all objects of a topic, in order; what has another name is left out.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn list(&self, topic: &str) -> Result<Vec<ObjectName>, LakeError> {
        let prefix = Path::from(topic);
        let objects = self.store.list(Some(&prefix));
        let names =
            objects.try_filter_map(async |object| Ok(ObjectName::parse(object.location.as_ref())));
        let mut names: Vec<_> = names.try_collect().await?;
        names.sort();
        Ok(names)
    }

    /// The text of an object.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn read(&self, name: &ObjectName) -> Result<Vec<u8>, LakeError> {
        let found = self.store.get(&Path::from(name.to_string())).await?;
        if found.meta.size > OBJECT_LIMIT_BYTES {
            return Err(LakeError::TooLarge {
                name: name.to_string(),
                bytes: found.meta.size,
            });
        }
        Ok(found.bytes().await?.to_vec())
    }
}
