//! The life of a service's process: settings, logs, start, work, bounded shutdown.

use std::error::Error;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;

use crate::health::Health;
use crate::http::CrossOrigin;
use crate::http::certificate::Certificate;
use crate::http::operations;
use crate::http::serve::{self, HttpLimits, Observation, TlsFiles};
use crate::metrics::Metrics;
use crate::settings::{Groups, Setting, Settings};
use crate::shutdown::Shutdown;

/// Exit code for bad settings (`EX_CONFIG` of sysexits.h).
pub const EXIT_BAD_SETTINGS: u8 = 78;
/// Exit code of a wrong command line (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// Settings that every service has.
#[derive(Debug, Clone)]
pub struct Common {
    /// Name of this instance, `order-service-1`.
    pub instance: String,
    /// Where health, metrics, control and plain HTTP APIs are served.
    pub listen_http: SocketAddr,
    /// Whether fail-points may be armed.
    pub fail_points: bool,
    /// How long tasks and connections may take to end.
    pub shutdown_grace: Duration,
    /// Filter of the log.
    pub log: String,
    /// Limits of all listeners.
    pub http: HttpLimits,
}

impl Common {
    /// Reads `INSTANCE`, `LISTEN_HTTP`, `FAIL_POINTS`, `SHUTDOWN_GRACE_S`, `LOG` and the limits of listeners.
    pub fn read(settings: &mut Settings) -> Self {
        settings.in_group("Every program", Self::read_all)
    }

    fn read_all(settings: &mut Settings) -> Self {
        let instance = settings.required_text(
            "INSTANCE",
            "the name of this instance, such as order-service-1",
        );
        let log = settings.text(
            "LOG",
            "info",
            "what is logged: a level, or a filter such as info,sqlx=debug",
        );
        if let Err(problem) = crate::log::check_filter(&log) {
            settings.problem("LOG", format!("`{log}` is not a filter: {problem}"));
        }
        Self {
            instance,
            listen_http: settings.required_address(
                "LISTEN_HTTP",
                "where health, metrics and plain HTTP APIs are served",
            ),
            fail_points: settings.switch(
                "FAIL_POINTS",
                false,
                "whether fail-points may be armed over HTTP; only for drills",
            ),
            shutdown_grace: settings.duration_s(
                "SHUTDOWN_GRACE_S",
                5,
                "how long requests, tasks and connections may take to end",
            ),
            log,
            http: HttpLimits::read(settings),
        }
    }
}

/// What a running service is made of; clones share it.
#[derive(Clone)]
pub struct Service {
    /// Name of the program.
    pub name: &'static str,
    /// Settings that every service has.
    pub common: Common,
    /// Readiness.
    pub health: Health,
    /// Metrics.
    pub metrics: Metrics,
    /// The way down.
    pub shutdown: Shutdown,
    observation: Observation,
    http_address: Arc<OnceLock<SocketAddr>>,
}

impl Service {
    /// Puts a service together; [`run`] does it for a process, tests do it themselves.
    pub fn new(name: &'static str, common: Common) -> Self {
        let metrics = Metrics::default();
        let observation = Observation::new(&metrics);
        Self {
            name,
            common,
            health: Health::default(),
            metrics,
            shutdown: Shutdown::default(),
            observation,
            http_address: Arc::default(),
        }
    }

    /// Starts a task without which the service is of no use: when it fails or panics, the process shuts down and exits
    /// with an error. The task ends by itself when [`Shutdown::begun`] does, and is waited for.
    pub fn spawn<F, E>(&self, task: &'static str, work: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        let running = tokio::spawn(async move { work.await.map_err(|error| error.to_string()) });
        let shutdown = self.shutdown.clone();
        self.shutdown.tasks().spawn(async move {
            match running.await {
                Ok(Ok(())) => tracing::debug!(task, "task ended"),
                Ok(Err(error)) => shutdown.begin_failed(format!("{task}: {error}")),
                Err(panic) => shutdown.begin_failed(format!("{task}: {panic}")),
            }
        });
    }

    /// Serves health, metrics, control and an API on `LISTEN_HTTP`. Until start-up is over the API answers 503.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn serve_http(&self, api: Router) -> std::io::Result<SocketAddr> {
        let listener = serve::bind(self.common.listen_http)?;
        let address = listener.local_addr()?;
        let operations = operations::routes(
            self.health.clone(),
            self.metrics.clone(),
            self.common.fail_points,
        );
        let routes = operations.merge(self.observed(api, None));
        let handle = self.handle();
        self.spawn(
            "http",
            serve::serve_plain(listener, routes, self.common.http, handle),
        );
        tracing::info!(%address, "serving HTTP");
        let _only_the_first_is_kept = self.http_address.set(address);
        Ok(address)
    }

    /// Where [`Service::serve_http`] listens, once it does: the port that was taken when `LISTEN_HTTP` asks for any.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address.get().copied()
    }

    /// Serves an API over TLS.
    ///
    /// # Errors
    /// The certificate or key cannot be read, or the address cannot be bound.
    pub async fn serve_tls(&self, files: &TlsFiles, api: Router) -> std::io::Result<SocketAddr> {
        self.serve_public(files, api, None).await
    }

    /// Serves an API over TLS, and lets the pages of other origins call it that `pages` allows.
    ///
    /// # Errors
    /// As [`Service::serve_tls`].
    pub async fn serve_tls_to_pages(
        &self,
        files: &TlsFiles,
        api: Router,
        pages: CrossOrigin,
    ) -> std::io::Result<SocketAddr> {
        self.serve_public(files, api, Some(pages)).await
    }

    async fn serve_public(
        &self,
        files: &TlsFiles,
        api: Router,
        pages: Option<CrossOrigin>,
    ) -> std::io::Result<SocketAddr> {
        let certificate = Certificate::read(files.clone()).await?;
        let shown = certificate.shown();
        let listener = serve::bind(files.listen)?;
        let address = listener.local_addr()?;
        let handle = self.handle();
        self.spawn(
            "https",
            serve::serve_tls(
                listener,
                shown,
                self.observed(api, pages),
                self.common.http,
                handle,
            ),
        );
        let following =
            certificate.follow(self.observation.certificates.clone(), self.shutdown.clone());
        self.spawn("certificate", async move {
            following.await;
            Ok::<_, std::convert::Infallible>(())
        });
        tracing::info!(%address, "serving HTTPS");
        Ok(address)
    }

    fn observed(&self, api: Router, pages: Option<CrossOrigin>) -> Router {
        serve::observed(
            api,
            self.health.clone(),
            self.observation.clone(),
            self.common.http,
            pages,
        )
    }

    fn handle(&self) -> Handle<SocketAddr> {
        let handle = Handle::new();
        let (at_shutdown, shutdown, grace) = (
            handle.clone(),
            self.shutdown.clone(),
            self.common.shutdown_grace,
        );
        tokio::spawn(async move {
            shutdown.begun().await;
            at_shutdown.graceful_shutdown(Some(grace));
        });
        handle
    }

    /// Waits for the shutdown and then, within the grace, for all tasks. False when some had to be abandoned.
    async fn wait_for_end(&self) -> bool {
        self.shutdown.begun().await;
        self.health.mark_stopping();
        let tasks = self.shutdown.tasks();
        tasks.close();
        tokio::time::timeout(self.common.shutdown_grace, tasks.wait())
            .await
            .is_ok()
    }
}

/// Runs a service's process to its end: reads all settings (exit 78 with every problem on standard error), starts the
/// log, runs `start`, lets requests in, waits for SIGTERM or SIGINT, and shuts down within the grace.
///
/// `arguments` are those of the command line that chose no role: `--help` prints what can be set, and any other is refused
/// (exit 64).
pub fn run<C, Fut, E>(
    name: &'static str,
    arguments: &[String],
    read: impl FnOnce(&mut Settings) -> C,
    start: impl FnOnce(C, Service) -> Fut,
) -> ExitCode
where
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let read = |settings: &mut Settings| (Common::read(settings), read(settings));
    match arguments {
        [] => {}
        [only] if only == "--help" || only == "-h" => return explain(name, &Settings::known(read)),
        [unknown, ..] => {
            let problem = format!("`{unknown}` is unknown; `--help` prints what can be set");
            return refuse(name, EXIT_USAGE, &problem);
        }
    }
    let settings = Settings::read(std::env::vars(), read);
    let (common, config) = match settings {
        Ok(read) => read,
        Err(problems) => return refuse(name, EXIT_BAD_SETTINGS, &problems.to_string()),
    };
    // The only TLS crypto of the pipeline; an error means that it is installed already.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    if let Err(problem) = crate::log::start(&common.log, name, &common.instance) {
        return refuse(name, EXIT_BAD_SETTINGS, &problem);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return refuse(name, 1, &format!("the runtime does not start: {error}")),
    };
    let service = Service::new(name, common);
    let succeeded = runtime.block_on(live(service, config, start));
    // Whatever still blocks a thread (a Kafka client closing against a dead broker) was given its time.
    runtime.shutdown_background();
    if succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn live<C, Fut, E>(service: Service, config: C, start: impl FnOnce(C, Service) -> Fut) -> bool
where
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    if let Err(error) = service.shutdown.begin_at_signal() {
        tracing::error!(%error, "signal handlers cannot be installed");
        return false;
    }
    tokio::select! {
        started = start(config, service.clone()) => match started {
            Ok(()) => {
                service.health.mark_started();
                tracing::info!("started");
            }
            Err(error) => service.shutdown.begin_failed(format!("start-up: {}", error.into())),
        },
        () = service.shutdown.begun() => tracing::info!("shutdown before start-up was over"),
    }
    let in_time = service.wait_for_end().await;
    if !in_time {
        tracing::warn!(
            grace_s = service.common.shutdown_grace.as_secs(),
            "tasks had to be abandoned"
        );
    }
    tracing::info!("stopped");
    in_time && service.shutdown.failure().is_none()
}

/// Ends a program that has several roles and was told of none that it knows: says which there are. That is what was asked
/// for with `--help`; anything else is refused (exit 64).
pub fn choose_role(program: &str, roles: &str, given: &str) -> ExitCode {
    let usage = format!("usage: {program} {roles} [--help]");
    if given == "--help" || given == "-h" {
        // Whoever closed standard output has read enough.
        let _written = writeln!(std::io::stdout(), "{usage}");
        return ExitCode::SUCCESS;
    }
    let problem = match given {
        "" => usage,
        _ => format!("`{given}` is unknown\n{usage}"),
    };
    refuse(program, EXIT_USAGE, &problem)
}

fn explain(name: &str, settings: &[Setting]) -> ExitCode {
    let text = format!(
        "{name} takes its settings from the environment.\n\n{}",
        Groups(settings)
    );
    // Whoever closed standard output has read enough.
    let _written = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn refuse(name: &str, code: u8, problems: &str) -> ExitCode {
    let lines: Vec<_> = problems
        .lines()
        .map(|line| format!("{name}: {line}\n"))
        .collect();
    // When standard error is closed the exit code has to do.
    let _written = std::io::stderr().write_all(lines.concat().as_bytes());
    ExitCode::from(code)
}
