//! The instances of one service: which one gets a request, how long it may take, and whether it is sent again.
//!
//! * [`exchange`]: a request to a service and what becomes of it
//! * [`metrics`]: what is counted
//! * [`readiness`]: who says that it is ready
//! * [`rotation`]: whose turn it is, and who is ejected
//! * [`safety`]: whether a request may be sent a second time

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Client;
use service_kit::defences::Defences;
use service_kit::http::Deadline;
use service_kit::http::deadline::DEADLINE_HEADER;
use service_kit::names::{Endpoint, Names};
use tokio_util::sync::CancellationToken;
use tower::retry::budget::{Budget, TpsBudget};
use tracing::{info, warn};

use crate::defences::Protection;
use crate::route::Upstream;
use exchange::PASSED_BACK;
pub use exchange::{Answer, Outgoing, SendError};
use metrics::UpstreamMetrics;
use rotation::{EjectionPolicy, Rotation};
use safety::{Failure, may_repeat};

pub mod exchange;
pub mod metrics;
mod readiness;
pub mod rotation;
pub mod safety;

/// Bounds of what is done to a service.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamLimits {
    /// Until a connection stands.
    pub connect: Duration,
    /// One attempt in all.
    pub attempt: Duration,
    /// Attempts of one request, the first included.
    pub attempts: usize,
    /// Idle connections that are kept to each instance.
    pub idle_connections: usize,
    /// Largest answer that is read, in bytes.
    pub answer_bytes: usize,
    /// Repetitions in percent of the requests.
    pub retry_percent: u8,
    /// Repetitions in a second that are allowed whatever the share.
    pub retry_min_per_s: u32,
    /// How long a request counts for the share; 1 to 60 seconds.
    pub retry_window: Duration,
    /// When an instance is ejected.
    pub ejection: EjectionPolicy,
    /// How often ejected instances are looked at.
    pub probe_interval: Duration,
    /// How long an instance may take to say whether it is ready.
    pub readiness: Duration,
    /// How often instances are asked whether they are ready.
    pub readiness_interval: Duration,
}

/// The instances of a service.
pub struct Upstreams {
    service: Upstream,
    addresses: Vec<Endpoint>,
    rotation: Mutex<Rotation>,
    http: Client,
    budget: TpsBudget,
    limits: UpstreamLimits,
    only_safe: bool,
    tell_deadline: bool,
    /// `None` when readiness-based routing is off: nobody is asked.
    readiness_interval: Option<Duration>,
    metrics: UpstreamMetrics,
}

/// How one attempt went.
enum Outcome {
    Answered(Answer),
    Failed(Failure, SendError),
}

impl Outcome {
    /// The word for metrics.
    fn word(&self) -> &'static str {
        match self {
            Outcome::Answered(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => "shed",
            Outcome::Answered(answer) if answer.status.is_server_error() => "server_error",
            Outcome::Answered(_) => "answered",
            Outcome::Failed(_, SendError::NothingSent(_)) => "not_sent",
            Outcome::Failed(_, SendError::Failed(_)) => "failed",
            Outcome::Failed(_, SendError::TimedOut) => "timed_out",
        }
    }
}

impl Upstreams {
    /// All instances in rotation.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(
        service: Upstream,
        addresses: Vec<Endpoint>,
        names: &Names,
        limits: UpstreamLimits,
        defences: &Defences<Protection>,
        metrics: UpstreamMetrics,
    ) -> anyhow::Result<Self> {
        let http = names
            .serve(Client::builder())
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.connect)
            .pool_max_idle_per_host(limits.idle_connections)
            .build()
            .context("the HTTP client cannot be built")?;
        let ejection = defences
            .on(Protection::OutlierEjection)
            .then_some(limits.ejection);
        let readiness_interval = defences
            .on(Protection::ReadinessRouting)
            .then_some(limits.readiness_interval);
        let share = f32::from(limits.retry_percent) / 100.0;
        Ok(Self {
            service,
            rotation: Mutex::new(Rotation::new(addresses.len(), ejection)),
            addresses,
            http,
            budget: TpsBudget::new(limits.retry_window, limits.retry_min_per_s, share),
            limits,
            only_safe: defences.on(Protection::RetryOnlySafe),
            tell_deadline: defences.on(Protection::DeadlinePropagation),
            readiness_interval,
            metrics,
        })
    }

    /// How many instances are ejected at the moment.
    pub fn ejected(&self) -> usize {
        self.rotation().ejected()
    }

    /// The service.
    pub fn service(&self) -> Upstream {
        self.service
    }

    /// Asks the instances what may be done with a path, which does nothing; the status of the first one that answers
    /// anything but 503.
    ///
    /// # Errors
    /// Nobody did; says so.
    pub async fn options(&self, path: &str) -> Result<StatusCode, String> {
        for address in &self.addresses {
            let url = format!("http://{address}{path}");
            let request = self.http.request(Method::OPTIONS, url);
            if let Ok(answer) = request.timeout(self.limits.attempt).send().await
                && answer.status() != StatusCode::SERVICE_UNAVAILABLE
            {
                return Ok(answer.status());
            }
        }
        Err("of which no instance answers".to_owned())
    }

    /// Sends a request to one instance, and to another one if that is safe and the budget allows it. Without a deadline
    /// an attempt may take for ever.
    ///
    /// # Errors
    /// Says whether the request may have had its effect.
    pub async fn send(&self, outgoing: &Outgoing, deadline: Deadline) -> Result<Answer, SendError> {
        self.budget.deposit();
        let mut tried = Vec::new();
        let mut doubtful = false;
        let mut last = Err(SendError::NothingSent(
            "no instance is in rotation".to_owned(),
        ));
        while tried.len() < self.limits.attempts {
            let Some(lease) = Lease::take(self, &tried) else {
                break;
            };
            if !tried.is_empty() && !self.may_spend(outgoing) {
                break;
            }
            tried.push(lease.member);
            let outcome = self.attempt(&lease, outgoing, deadline).await;
            self.judge(lease.member, &outcome);
            let failure = match outcome {
                Outcome::Answered(answer) => {
                    let failure = failure_of(answer.status);
                    last = Ok(answer);
                    match failure {
                        None => return last,
                        Some(failure) => failure,
                    }
                }
                Outcome::Failed(failure, error) => {
                    last = Err(error);
                    failure
                }
            };
            doubtful |= failure == Failure::Doubtful;
            if deadline.is_over()
                || !may_repeat(&outgoing.method, outgoing.has_key, failure, self.only_safe)
            {
                break;
            }
        }
        honest(last, doubtful)
    }

    /// Takes a repetition off the budget.
    fn may_spend(&self, outgoing: &Outgoing) -> bool {
        let granted = self.budget.withdraw();
        self.metrics.repeated(self.service, granted);
        if !granted {
            warn!(
                path = outgoing.path,
                "not sent again: the retry budget is spent"
            );
        }
        granted
    }

    async fn attempt(&self, lease: &Lease<'_>, outgoing: &Outgoing, deadline: Deadline) -> Outcome {
        let time = deadline
            .remaining()
            .map(|left| left.min(self.limits.attempt));
        let url = format!("http://{}{}", self.addresses[lease.member], outgoing.path);
        let mut request = self
            .http
            .request(outgoing.method.clone(), url)
            .headers(outgoing.headers.clone())
            .body(outgoing.body.clone());
        if let Some(time) = time {
            request = request.timeout(time);
            if self.tell_deadline {
                let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
                request = request.header(DEADLINE_HEADER, HeaderValue::from(ms));
            }
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return failed(&error),
        };
        self.read(response).await
    }

    async fn read(&self, mut response: reqwest::Response) -> Outcome {
        let status = response.status();
        let mut headers = HeaderMap::new();
        for name in PASSED_BACK {
            if let Some(value) = response.headers().get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => {
                    return Outcome::Answered(Answer {
                        status,
                        headers,
                        body: body.into(),
                    });
                }
                Ok(Some(chunk)) if body.len() + chunk.len() <= self.limits.answer_bytes => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    let why = format!("an answer of more than {} bytes", self.limits.answer_bytes);
                    return Outcome::Failed(Failure::Doubtful, SendError::Failed(why));
                }
                Err(error) => return failed(&error),
            }
        }
    }

    /// Tells the rotation how an instance did.
    fn judge(&self, member: usize, outcome: &Outcome) {
        let address = &self.addresses[member];
        self.metrics.attempted(self.service, outcome.word());
        let works = match outcome {
            // Shedding load is a decision of an instance that works, but no proof of health.
            Outcome::Answered(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => return,
            Outcome::Answered(answer) => !answer.status.is_server_error(),
            Outcome::Failed(_, error) => {
                warn!(upstream = self.service.name(), %address, %error, "an attempt failed");
                false
            }
        };
        if works {
            self.rotation().succeeded(member);
        } else if self.rotation().failed(member, Instant::now()) {
            self.metrics.ejected(address);
            warn!(upstream = self.service.name(), %address, "an instance was ejected");
        }
    }

    /// Probes ejected instances whose time is over, until the process stops.
    pub async fn probe(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.limits.probe_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let due = self.rotation().due_for_probe(Instant::now());
            let probes = due.into_iter().map(|member| self.probe_one(member));
            futures::future::join_all(probes).await;
        }
    }

    async fn probe_one(&self, member: usize) {
        let address = &self.addresses[member];
        let request = self
            .http
            .get(format!("http://{address}/health/ready"))
            .timeout(self.limits.attempt);
        let ready = request
            .send()
            .await
            .is_ok_and(|response| response.status() == StatusCode::OK);
        if ready {
            self.metrics.readmitted(address);
            info!(upstream = self.service.name(), %address, "an instance is back in rotation");
            self.rotation().probe_succeeded(member);
        } else {
            self.rotation().probe_failed(member, Instant::now());
        }
    }

    fn rotation(&self) -> MutexGuard<'_, Rotation> {
        self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt's place at an instance; gives it back when the attempt is over or abandoned.
struct Lease<'a> {
    upstreams: &'a Upstreams,
    member: usize,
}

impl<'a> Lease<'a> {
    fn take(upstreams: &'a Upstreams, tried: &[usize]) -> Option<Self> {
        let member = upstreams.rotation().choose(tried)?;
        Some(Self { upstreams, member })
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.upstreams.rotation().finished(self.member);
    }
}

/// What an answer means for repeating the request; `None` when it is final.
fn failure_of(status: StatusCode) -> Option<Failure> {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => Some(Failure::Shed),
        _ if status.is_server_error() => Some(Failure::Doubtful),
        _ => None,
    }
}

fn failed(error: &reqwest::Error) -> Outcome {
    if error.is_connect() {
        Outcome::Failed(Failure::NotSent, SendError::NothingSent(chain(error)))
    } else if error.is_timeout() {
        Outcome::Failed(Failure::Doubtful, SendError::TimedOut)
    } else {
        Outcome::Failed(Failure::Doubtful, SendError::Failed(chain(error)))
    }
}

/// "Nothing was done" may only be said when no attempt of the request leaves doubt.
fn honest(last: Result<Answer, SendError>, doubtful: bool) -> Result<Answer, SendError> {
    match last {
        Err(SendError::NothingSent(why)) if doubtful => Err(SendError::Failed(why)),
        Ok(answer) if doubtful && answer.status == StatusCode::SERVICE_UNAVAILABLE => Err(
            SendError::Failed("one instance failed, another one shed the request".to_owned()),
        ),
        last => last,
    }
}

/// An error with its causes, in one line.
fn chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes.join(": ")
}
