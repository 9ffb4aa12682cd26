//! One way down: a token that everybody watches, and the tasks that are waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Exit code of a process that SIGTERM ended, as shells tell it.
const EXIT_TERMINATED: i32 = 128 + 15;

/// Asks a process's tasks to end and waits for them; clones share one shutdown.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
    failure: Arc<OnceLock<String>>,
    at_once: Arc<AtomicBool>,
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

    /// Says whether a signal begins a shutdown in which what is under way is finished or given back. Otherwise the process
    /// ends at the signal as if it had no shutdown at all; a service calls this where its defence `graceful-shutdown` is.
    pub fn finish_what_is_under_way(&self, graceful: bool) {
        self.at_once.store(!graceful, Ordering::Release);
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
            if shutdown.at_once.load(Ordering::Acquire) {
                std::process::exit(EXIT_TERMINATED);
            }
            shutdown.begin();
        });
        Ok(())
    }
}
