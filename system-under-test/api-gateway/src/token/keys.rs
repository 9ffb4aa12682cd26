//! The identity provider's public keys. They are fetched when the gateway starts, again from time to time, and when a
//! token names one that is not known. While the provider is away the known ones stay in use.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use reqwest::{Certificate, Client};
use service_kit::metrics::{Counters, Metrics};
use service_kit::names::Names;
use service_kit::token::{KeySet, VerifyingKey};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Largest key set that is read, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024;
/// Pause between attempts until the first key set has come.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Where keys come from, and how often they are asked for.
#[derive(Debug, Clone)]
pub struct KeySource {
    /// Address of the key set.
    pub url: String,
    /// Certificates of authorities that the provider's certificate may come from, PEM.
    pub authority_file: std::path::PathBuf,
    /// One request in all.
    pub timeout: Duration,
    /// Between two requests that nothing called for.
    pub interval: Duration,
    /// Between two requests at least, however many unknown keys are named.
    pub pause: Duration,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// The provider publishes none of this name.
    Unknown,
    /// The provider has not been reached.
    Unavailable,
}

/// When the provider was asked last, and whether it answered.
#[derive(Debug, Clone, Copy)]
struct Asked {
    begun: Instant,
    answered: bool,
}

/// The keys, by name.
pub struct Keys {
    source: KeySource,
    http: Client,
    /// `None` until a first key set has come.
    known: RwLock<Option<HashMap<String, VerifyingKey>>>,
    /// Held while the provider is asked: all who miss a key wait for the same answer.
    asking: Mutex<Option<Asked>>,
    /// Whether keys are asked for again after the first time.
    refresh: bool,
    refreshes: Counters,
}

impl Keys {
    /// No keys yet; with `refresh` off the first key set is the last.
    ///
    /// # Errors
    /// The authority's file cannot be read, or the HTTP client cannot be built.
    pub fn new(
        source: KeySource,
        names: &Names,
        refresh: bool,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let place = source.authority_file.display();
        let pem = std::fs::read(&source.authority_file)
            .with_context(|| format!("CA_FILE {place} cannot be read"))?;
        let authorities = Certificate::from_pem_bundle(&pem)
            .with_context(|| format!("CA_FILE {place} holds no certificates in PEM"))?;
        let http = names
            .serve(Client::builder())
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only(authorities)
            .connect_timeout(source.timeout)
            .timeout(source.timeout)
            .build()
            .context("the HTTP client cannot be built")?;
        Ok(Self {
            source,
            http,
            known: RwLock::default(),
            asking: Mutex::default(),
            refresh,
            refreshes: metrics.counters("key_refreshes", "Requests for the key set, by result"),
        })
    }

    /// Whether a key set has ever come.
    pub fn have_come(&self) -> bool {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// The key of a name. One that is not known is asked for, once for all who miss a key, and not more often than the
    /// pause allows; whoever comes within the pause waits for its end.
    ///
    /// # Errors
    /// There is none, or nobody can say.
    pub async fn find(&self, kid: &str) -> Result<VerifyingKey, NoKey> {
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        if !self.refresh {
            return Err(if self.have_come() {
                NoKey::Unknown
            } else {
                NoKey::Unavailable
            });
        }
        let missed = Instant::now();
        let mut asked = self.asking.lock().await;
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let answered = match *asked {
            // Somebody asked after this key was missed, and waited for it in our place.
            Some(last) if last.begun >= missed => last.answered,
            last => {
                if let Some(last) = last {
                    tokio::time::sleep_until(last.begun + self.source.pause).await;
                }
                self.ask(&mut asked).await
            }
        };
        drop(asked);
        match self.known(kid) {
            Some(key) => Ok(key),
            None if answered => Err(NoKey::Unknown),
            None => Err(NoKey::Unavailable),
        }
    }

    fn known(&self, kid: &str) -> Option<VerifyingKey> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref()?.get(kid).cloned()
    }

    /// Asks the provider; tells whether it answered.
    async fn ask(&self, asked: &mut Option<Asked>) -> bool {
        let begun = Instant::now();
        // Noted first: whoever gives up waiting must not let the next one ask too early.
        *asked = Some(Asked {
            begun,
            answered: false,
        });
        let fetched = self.fetch().await;
        let result = if fetched.is_ok() {
            "answered"
        } else {
            "failed"
        };
        self.refreshes
            .get_or_create(&vec![("result", result.to_owned())])
            .inc();
        match fetched {
            Ok(keys) => {
                self.replace(keys);
                *asked = Some(Asked {
                    begun,
                    answered: true,
                });
                true
            }
            Err(error) => {
                warn!(url = self.source.url, error = %format!("{error:#}"), "the key set could not be fetched");
                false
            }
        }
    }

    async fn fetch(&self) -> anyhow::Result<HashMap<String, VerifyingKey>> {
        let mut response = self
            .http
            .get(&self.source.url)
            .send()
            .await?
            .error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            anyhow::ensure!(
                body.len() + chunk.len() <= ANSWER_LIMIT,
                "a key set of more than {ANSWER_LIMIT} bytes"
            );
            body.extend_from_slice(&chunk);
        }
        let set: KeySet = serde_json::from_slice(&body).context("the answer is no key set")?;
        let keys: HashMap<_, _> = set
            .keys
            .iter()
            .filter_map(|jwk| Some((jwk.kid.clone(), VerifyingKey::from_jwk(jwk)?)))
            .filter(|(kid, _)| !kid.is_empty())
            .collect();
        // A provider without keys has a fault of its own; the known ones are better than none.
        anyhow::ensure!(!keys.is_empty(), "the key set has no key for ES256");
        Ok(keys)
    }

    fn replace(&self, keys: HashMap<String, VerifyingKey>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let names = |keys: &HashMap<String, VerifyingKey>| {
            let mut names: Vec<String> = keys.keys().cloned().collect();
            names.sort_unstable();
            names
        };
        if known.as_ref().is_none_or(|old| *old != keys) {
            info!(keys = ?names(&keys), "the key set has changed");
        }
        *known = Some(keys);
    }

    /// Fetches keys until a first set has come, then from time to time, until the process stops.
    pub async fn keep_fresh(&self, stop: CancellationToken) {
        loop {
            let pause = if self.have_come() {
                if !self.refresh {
                    return;
                }
                self.source.interval
            } else {
                FIRST_PAUSE
            };
            let mut asked = self.asking.lock().await;
            let due = asked.map_or_else(Instant::now, |last| last.begun + pause);
            if due <= Instant::now() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = self.ask(&mut asked) => continue,
                }
            }
            drop(asked);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }
}
