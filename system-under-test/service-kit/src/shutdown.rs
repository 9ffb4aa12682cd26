//! One way down: a token that everybody watches, and the tasks that are waited for.

use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Asks a process's tasks to end and waits for them; clones share one shutdown.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
    failure: Arc<OnceLock<String>>,
}

impl Shutdown {
    /// Begins the shutdown.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Begins the shutdown because something essential failed; the process will exit with an error.
    pub fn begin_failed(&self, reason: String) {
        tracing::error!(reason, "shutting down after a failure");
        let _first_failure_is_kept = self.failure.set(reason);
        self.token.cancel();
    }

    /// Why the process failed, if it did.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Ends when the shutdown has begun.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }

    /// Whether the shutdown has begun.
    pub fn has_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// A token that is cancelled when the shutdown begins, for code that takes tokens.
    pub fn token(&self) -> CancellationToken {
        self.token.child_token()
    }

    /// The tasks that are waited for at the end.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Begins the shutdown at SIGTERM or SIGINT.
    ///
    /// # Errors
    /// The signal handlers could not be installed.
    pub fn begin_at_signal(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: shutting down"),
                _ = interrupt.recv() => tracing::info!("SIGINT: shutting down"),
            }
            shutdown.begin();
        });
        Ok(())
    }
}
