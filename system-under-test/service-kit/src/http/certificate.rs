//! The certificate of a TLS listener, read again when its files change.

use std::io;

use axum_server::tls_rustls::RustlsConfig;

use super::TlsFiles;
use crate::files;
use crate::metrics::Counters;
use crate::shutdown::Shutdown;

/// A listener's certificate as it was read last.
pub struct Certificate {
    files: TlsFiles,
    /// What the listener shows to whoever connects from now on; connections under way keep what they have.
    shown: RustlsConfig,
    held: Pair,
}

/// What the two files hold, PEM.
#[derive(PartialEq, Eq)]
struct Pair {
    chain: Vec<u8>,
    private_key: Vec<u8>,
}

impl Pair {
    async fn read(files: &TlsFiles) -> io::Result<Self> {
        Ok(Self {
            chain: files::read(&files.certificate).await?,
            private_key: files::read(&files.private_key).await?,
        })
    }
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, or they hold no chain with its private key.
    pub async fn read(files: TlsFiles) -> io::Result<Self> {
        let held = Pair::read(&files).await?;
        let shown = RustlsConfig::from_pem(held.chain.clone(), held.private_key.clone()).await?;
        Ok(Self { files, shown, held })
    }

    /// What a listener needs; it follows later changes.
    pub fn shown(&self) -> RustlsConfig {
        self.shown.clone()
    }

    /// Looks at the files again and again until shutdown and shows what they hold now. What cannot be used, as while one
    /// file is replaced already and the other is not yet, leaves everything as it is and is tried again.
    pub async fn follow(mut self, reloads: Counters, shutdown: Shutdown) {
        let Some(every) = self.files.reload_every else {
            return;
        };
        let path = self.files.certificate.display().to_string();
        let mut complained = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = shutdown.begun() => return,
            }
            let result = match self.look().await {
                Ok(false) => continue,
                Ok(true) => {
                    complained = None;
                    tracing::info!(path, "the certificate was read again");
                    "taken_up"
                }
                Err(error) if complained.as_ref() == Some(&error.to_string()) => continue,
                Err(error) => {
                    tracing::warn!(path, %error, "the changed certificate cannot be used; the old one is still shown");
                    complained = Some(error.to_string());
                    "refused"
                }
            };
            reloads
                .get_or_create(&vec![("result", result.to_owned())])
                .inc();
        }
    }

    /// Shows what the files hold now; tells whether that is something else.
    async fn look(&mut self) -> io::Result<bool> {
        let found = Pair::read(&self.files).await?;
        if found == self.held {
            return Ok(false);
        }
        let (chain, private_key) = (found.chain.clone(), found.private_key.clone());
        self.shown.reload_from_pem(chain, private_key).await?;
        self.held = found;
        Ok(true)
    }
}
