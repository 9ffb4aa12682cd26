//! Several proxies by name: what the API works on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Deserialize;
use tokio::net::lookup_host;
use tokio::sync::Mutex;

use crate::counters::ProxyCounts;
use crate::kafka::KafkaSettings;
use crate::proxy::{FaultProxy, Limits, Mode, ProxyConfig, ProxyError};

/// A proxy as it is asked for: Toxiproxy's fields and our own.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Where it listens, `host:port`; empty for a free port of the loopback interface.
    pub listen: String,
    /// The server behind it, `host:port`.
    pub upstream: String,
    /// `None` means enabled.
    pub enabled: Option<bool>,
    /// Ours: present for Kafka mode, with its settings.
    pub kafka: Option<KafkaSettings>,
    /// Ours: the seed of its toxics and rules. `None`: the registry's.
    pub seed: Option<u64>,
}

/// Why a registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A field that cannot be left out; the text says which.
    #[error("missing required field: {0}")]
    Missing(String),
    /// The name is taken.
    #[error("proxy already exists")]
    AlreadyExists,
    /// There is none of that name.
    #[error("proxy not found")]
    NotFound,
    /// Two proxies of one request have the same name.
    #[error("duplicate proxy name {0:?}")]
    Duplicate(String),
    /// The text is not an address to listen on.
    #[error("cannot listen on {listen:?}: {reason}")]
    BadListen {
        /// The text.
        listen: String,
        /// Why not.
        reason: String,
    },
    /// The proxy cannot listen.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// Proxies by name. Changes of the set are made one after the other.
#[derive(Debug, Default)]
pub struct Registry {
    seed: u64,
    limits: Limits,
    proxies: Mutex<BTreeMap<String, Arc<FaultProxy>>>,
}

impl Registry {
    /// No proxies yet; they get this seed and these bounds.
    pub fn new(seed: u64, limits: Limits) -> Self {
        Self {
            seed,
            limits,
            proxies: Mutex::default(),
        }
    }

    /// All proxies, by name.
    pub async fn all(&self) -> Vec<Arc<FaultProxy>> {
        self.proxies.lock().await.values().map(Arc::clone).collect()
    }

    /// The proxy of that name.
    ///
    /// # Errors
    /// There is none.
    pub async fn get(&self, name: &str) -> Result<Arc<FaultProxy>, RegistryError> {
        self.proxies
            .lock()
            .await
            .get(name)
            .map(Arc::clone)
            .ok_or(RegistryError::NotFound)
    }

    /// Starts a proxy.
    ///
    /// # Errors
    /// A field is missing, the name is taken, or it cannot listen.
    pub async fn create(&self, wanted: Wanted) -> Result<Arc<FaultProxy>, RegistryError> {
        check_fields(&wanted, "")?;
        let mut proxies = self.proxies.lock().await;
        if proxies.contains_key(&wanted.name) {
            return Err(RegistryError::AlreadyExists);
        }
        let proxy = self.start(wanted).await?;
        proxies.insert(proxy.name().to_owned(), Arc::clone(&proxy));
        Ok(proxy)
    }

    /// Takes in a proxy that was started by itself; from now on the API works on it too.
    ///
    /// # Errors
    /// The name is taken.
    pub async fn insert(&self, proxy: Arc<FaultProxy>) -> Result<(), RegistryError> {
        let mut proxies = self.proxies.lock().await;
        if proxies.contains_key(proxy.name()) {
            return Err(RegistryError::AlreadyExists);
        }
        proxies.insert(proxy.name().to_owned(), proxy);
        Ok(())
    }

    /// Starts each proxy, in place of one of the same name unless that listens and leads to the same already.
    ///
    /// # Errors
    /// A field is missing or a name occurs twice: nothing is changed. Or one cannot listen: those before it are started.
    pub async fn populate(
        &self,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Arc<FaultProxy>>, RegistryError> {
        for (number, each) in (1..).zip(&wanted) {
            check_fields(each, &format!(" at proxy {number}"))?;
            if wanted
                .iter()
                .filter(|other| other.name == each.name)
                .count()
                > 1
            {
                return Err(RegistryError::Duplicate(each.name.clone()));
            }
        }
        let mut proxies = self.proxies.lock().await;
        let mut populated = Vec::with_capacity(wanted.len());
        for each in wanted {
            let proxy = match proxies.get(&each.name) {
                Some(old) if is_as_wanted(old, &each).await? => {
                    old.set_enabled(each.enabled.unwrap_or(true)).await?;
                    Arc::clone(old)
                }
                old => {
                    if let Some(old) = old {
                        old.shutdown().await;
                    }
                    proxies.remove(&each.name);
                    self.start(each).await?
                }
            };
            proxies.insert(proxy.name().to_owned(), Arc::clone(&proxy));
            populated.push(proxy);
        }
        Ok(populated)
    }

    /// Changes where a proxy listens, what is behind it, and whether it is enabled; empty texts leave it as it is. Its
    /// connections are cut if one of the addresses changes.
    ///
    /// # Errors
    /// There is none of that name, or it cannot listen.
    pub async fn update(
        &self,
        name: &str,
        wanted: &Wanted,
    ) -> Result<Arc<FaultProxy>, RegistryError> {
        let proxies = self.proxies.lock().await;
        let proxy = proxies.get(name).ok_or(RegistryError::NotFound)?;
        let enabled = wanted.enabled.unwrap_or_else(|| proxy.is_enabled());
        if !wanted.upstream.is_empty() && wanted.upstream != proxy.upstream() {
            proxy.set_enabled(false).await?;
            proxy.set_upstream(wanted.upstream.clone());
        }
        if !wanted.listen.is_empty() {
            let listen = resolve(&wanted.listen).await?;
            if listen != proxy.address() {
                proxy.set_enabled(false).await?;
                proxy.set_listen(listen).await?;
            }
        }
        proxy.set_enabled(enabled).await?;
        Ok(Arc::clone(proxy))
    }

    /// Ends a proxy: when this returns nothing of it is left.
    ///
    /// # Errors
    /// There is none of that name.
    pub async fn remove(&self, name: &str) -> Result<(), RegistryError> {
        let proxy = self
            .proxies
            .lock()
            .await
            .remove(name)
            .ok_or(RegistryError::NotFound)?;
        proxy.shutdown().await;
        Ok(())
    }

    /// Enables all proxies and takes all toxics and Kafka rules away.
    ///
    /// # Errors
    /// One cannot listen any more: those before it are reset.
    pub async fn reset(&self) -> Result<(), RegistryError> {
        for proxy in self.all().await {
            proxy.remove_toxics();
            proxy.remove_kafka_rules();
            proxy.set_enabled(true).await?;
        }
        Ok(())
    }

    /// What each proxy counted, by name.
    pub async fn counters(&self) -> BTreeMap<String, ProxyCounts> {
        self.proxies
            .lock()
            .await
            .iter()
            .map(|(name, proxy)| (name.clone(), proxy.counters()))
            .collect()
    }

    /// Ends all proxies.
    pub async fn shutdown(&self) {
        for proxy in std::mem::take(&mut *self.proxies.lock().await).into_values() {
            proxy.shutdown().await;
        }
    }

    async fn start(&self, wanted: Wanted) -> Result<Arc<FaultProxy>, RegistryError> {
        let config = ProxyConfig {
            name: wanted.name,
            listen: resolve(&wanted.listen).await?,
            upstream: wanted.upstream,
            mode: wanted.kafka.map_or(Mode::Tcp, Mode::Kafka),
            seed: wanted.seed.unwrap_or(self.seed),
            enabled: wanted.enabled.unwrap_or(true),
            limits: self.limits,
        };
        Ok(FaultProxy::start(config).await?)
    }
}

fn check_fields(wanted: &Wanted, place: &str) -> Result<(), RegistryError> {
    let missing = |field: &str| Err(RegistryError::Missing(format!("{field}{place}")));
    match wanted {
        Wanted { name, .. } if name.is_empty() => missing("name"),
        Wanted { upstream, .. } if upstream.is_empty() => missing("upstream"),
        _ => Ok(()),
    }
}

async fn is_as_wanted(proxy: &FaultProxy, wanted: &Wanted) -> Result<bool, RegistryError> {
    let mode = wanted.kafka.clone().map_or(Mode::Tcp, Mode::Kafka);
    let listens_there =
        wanted.listen.is_empty() || resolve(&wanted.listen).await? == proxy.address();
    Ok(listens_there && wanted.upstream == proxy.upstream() && mode == *proxy.mode())
}

/// An address to listen on: nothing means a free port of the loopback interface, a port alone means all interfaces.
async fn resolve(listen: &str) -> Result<SocketAddr, RegistryError> {
    let bad = |reason: String| RegistryError::BadListen {
        listen: listen.to_owned(),
        reason,
    };
    let text = match listen {
        "" => "127.0.0.1:0".to_owned(),
        port if port.starts_with(':') => format!("0.0.0.0{port}"),
        address => address.to_owned(),
    };
    let mut addresses = lookup_host(&text)
        .await
        .map_err(|error| bad(error.to_string()))?
        .collect::<Vec<_>>();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses
        .first()
        .copied()
        .ok_or_else(|| bad("no address".to_owned()))
}
