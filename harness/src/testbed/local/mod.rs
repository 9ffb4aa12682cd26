//! The default testbed: child processes, a private PostgreSQL and an embedded broker, all on loopback.
//!
//! What is expensive is started once and shared ([`Infrastructure`]); every drill gets databases, a broker, proxies,
//! ports and processes of its own, so that drills run in parallel and leave nothing behind. In reading order:
//!
//! * [`place`], [`lease`]: where a run keeps its folder, and what it holds on this machine. [`sweep`]: what dead runs left is removed.
//! * [`ports`]: ports that stay ours. [`processes`]: children that cannot outlive the harness; `warden`: theirs.
//! * [`build`], [`cache`]: binaries, and what is kept from run to run. [`certificates`]: those of one drill.
//! * [`postgres`]: the server, and databases copied ahead of need.
//! * `browser`: browsers for customers who shop in the page.
//! * `private_file`: files for this user only. [`password_files`]: passwords as components read them.
//! * `links`, `names`, `expand`, `proxies`, `object_store`, `instance`, `prepare`, `drill_databases`, `pipeline`: from the topology to
//!   the running system of one drill.

mod browser;
pub mod build;
pub mod cache;
pub mod certificates;
mod drill_databases;
mod expand;
mod infrastructure;
mod instance;
pub mod lease;
mod links;
mod log_tail;
mod names;
mod object_store;
pub mod password_files;
mod pipeline;
pub mod place;
pub mod ports;
pub mod postgres;
mod prepare;
mod private_file;
pub mod processes;
mod proxies;
mod shared_memory;
pub mod sweep;
mod warden;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use build::Progress;
use futures::{FutureExt, future::BoxFuture};
use infrastructure::Infrastructure;
use pipeline::LocalPipeline;
use postgres::PostgresSource;
use sweep::CleanReport;

use crate::{
    testbed::{Capabilities, Pipeline, PipelineRequest, Testbed, TestbedError},
    topology::Topology,
};

/// How a local testbed is started.
#[derive(Clone)]
pub struct LocalOptions {
    /// The system.
    pub topology: Arc<Topology>,
    /// Where runs keep their private folders.
    pub runs_folder: PathBuf,
    /// Another cache folder than the user's.
    pub cache: Option<PathBuf>,
    /// Where PostgreSQL's programs are taken from.
    pub postgres: PostgresSource,
    /// How many databases of each component stand ready for the next drills.
    pub spare_databases: usize,
    /// How long an instance may take until it is ready.
    pub ready_within: Duration,
    /// Whether customers go by names, which only the drill's own name servers know. People with a browser of their own, who
    /// ask others, are told addresses.
    pub names_for_customers: bool,
    /// Who is told what takes long: building, fetching.
    pub progress: Progress,
}

impl LocalOptions {
    /// The usual options; the source of PostgreSQL is read from the environment.
    ///
    /// # Errors
    /// The environment asks for an unknown source.
    pub fn new(topology: Arc<Topology>) -> Result<Self, TestbedError> {
        Ok(Self {
            topology,
            runs_folder: place::runs_folder(),
            cache: None,
            postgres: PostgresSource::from_environment()?,
            spare_databases: 2,
            ready_within: Duration::from_secs(30),
            names_for_customers: false,
            progress: Arc::new(|line| tracing::info!("{line}")),
        })
    }
}

impl std::fmt::Debug for LocalOptions {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("LocalOptions")
            .field("topology", &self.topology.path)
            .field("runs_folder", &self.runs_folder)
            .field("cache", &self.cache)
            .field("postgres", &self.postgres)
            .field("spare_databases", &self.spare_databases)
            .field("ready_within", &self.ready_within)
            .field("names_for_customers", &self.names_for_customers)
            .finish_non_exhaustive()
    }
}

/// A local testbed. It belongs to the tokio runtime that it was started on. Dropping it ends everything it started.
#[derive(Debug)]
pub struct LocalTestbed {
    infrastructure: Arc<Infrastructure>,
    ready_within: Duration,
}

impl LocalTestbed {
    /// Sweeps what dead runs left, builds what must be built, starts what all drills share, and begins to make
    /// databases for the first of them.
    ///
    /// # Errors
    /// Something is missing on this machine, does not build or does not start; nothing is left of it then.
    pub async fn start(options: LocalOptions) -> Result<Self, TestbedError> {
        let infrastructure = Infrastructure::start(&options).await?;
        Ok(Self {
            infrastructure: Arc::new(infrastructure),
            ready_within: options.ready_within,
        })
    }

    /// The run's private folder.
    #[must_use]
    pub fn run_folder(&self) -> &Path {
        self.infrastructure.run.path()
    }
}

impl Testbed for LocalTestbed {
    fn name(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            can_pause: true,
            can_drop_packets: false,
            has_browser: browser::Programs::find().is_ok(),
        }
    }

    fn start<'a>(
        &'a self,
        request: PipelineRequest,
    ) -> BoxFuture<'a, Result<Arc<dyn Pipeline>, TestbedError>> {
        let infrastructure = Arc::clone(&self.infrastructure);
        async move {
            let pipeline = LocalPipeline::start(infrastructure, request, self.ready_within).await?;
            Ok(Arc::new(pipeline) as Arc<dyn Pipeline>)
        }
        .boxed()
    }

    fn shut_down(&self) -> BoxFuture<'_, Result<(), TestbedError>> {
        Arc::clone(&self.infrastructure).shut_down().boxed()
    }
}

/// Removes what dead runs of this user left: folders, processes, shared memory. A live run is never touched. With
/// `all`, also the caches (pre-made clusters, fetched programs), unless a run lives that may need them.
#[must_use]
pub fn clean(all: bool) -> CleanReport {
    let mut report = CleanReport::default();
    for runs in place::runs_folders() {
        report.add(sweep::sweep(&runs));
    }
    if all {
        match cache::folder() {
            Ok(folder) if report.spared.is_empty() => cache::remove(&folder, &mut report),
            Ok(folder) => report
                .failures
                .push(format!("{} is in use by a live run", folder.display())),
            Err(error) => report.failures.push(error.to_string()),
        }
    }
    report
}
