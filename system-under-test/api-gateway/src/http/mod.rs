//! The public API: what customers may reach, within which limits, and how it is passed on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use service_kit::defences::Defences;
use service_kit::http::{ApiError, Deadline};
use service_kit::trace::{TRACEPARENT, Trace};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::defences::Protection;
use crate::limit::{ClientLimit, ClientLimits};
use crate::route::{PUBLIC_API, Route, RouteTable, Upstream, is_plain};
use crate::route_check::RouteCheck;
use crate::token::{Refusal, Verifier};
use crate::upstream::{Outgoing, SendError, Upstreams};
use body::BodyError;

pub use guard::Guard;

mod body;
mod guard;

/// Who asks; the key of the rate limit.
const CLIENT_ID: HeaderName = HeaderName::from_static("x-client-id");
/// Who asks, verified; only the gateway says so.
const CUSTOMER_ID: HeaderName = HeaderName::from_static("x-customer-id");
/// Makes repeating a request harmless.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Names one request in all logs.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest name of a client or a request that is accepted, in bytes.
const NAME_LIMIT: usize = 128;

/// Bounds of what customers may do.
#[derive(Debug, Clone, Copy)]
pub struct EdgeLimits {
    /// Largest body, in bytes.
    pub body_bytes: usize,
    /// Longest time for a request in all; a client may ask for less.
    pub deadline: Duration,
    /// Requests under way at the same time.
    pub in_flight: usize,
    /// What each client may do.
    pub client: ClientLimit,
}

/// The ways to the services.
pub struct Ways {
    /// Which path leads to which service.
    pub routes: RouteTable,
    /// Whether they know it; `None` when the defence is off.
    pub check: Option<Arc<RouteCheck>>,
    /// Their instances.
    pub upstreams: BTreeMap<Upstream, Arc<Upstreams>>,
}

/// The edge of the pipeline: its limits and the ways to the services.
pub struct Edge {
    ways: Ways,
    /// `None` when the defence is off.
    verifier: Option<Verifier>,
    /// `None` when the defence is off.
    firewall: Option<Guard>,
    /// `None` when the defence is off.
    clients: Option<ClientLimits>,
    /// `None` when the defence is off.
    body_limit: Option<usize>,
    deadline: Duration,
    /// Whether the deadline holds for the services.
    upstream_timeout: bool,
    slots: Semaphore,
}

impl Edge {
    /// An edge with the limits whose defences are on.
    pub fn new(
        ways: Ways,
        verifier: Option<Verifier>,
        firewall: Option<Guard>,
        limits: EdgeLimits,
        defences: &Defences<Protection>,
    ) -> Self {
        Self {
            ways,
            verifier,
            firewall,
            clients: defences
                .on(Protection::PerClientLimit)
                .then(|| ClientLimits::new(limits.client)),
            body_limit: defences
                .on(Protection::BodyLimit)
                .then_some(limits.body_bytes),
            deadline: limits.deadline,
            upstream_timeout: defences.on(Protection::UpstreamTimeout),
            slots: Semaphore::new(limits.in_flight),
        }
    }
}

/// Router of the public API.
pub fn router(edge: Arc<Edge>) -> Router {
    let mut router = Router::new();
    for route in &PUBLIC_API {
        let relay =
            move |State(edge): State<Arc<Edge>>, request: Request| relay(edge, route, request);
        let mut methods = get(relay);
        if !route.only_reading {
            methods = methods.post(relay).put(relay).delete(relay);
        }
        router = router
            .route(route.path, methods.clone())
            .route(&format!("{}/{{*rest}}", route.path), methods);
    }
    router.with_state(edge)
}

/// Checks a request and passes it on.
async fn relay(edge: Arc<Edge>, route: &Route, request: Request) -> Response {
    let request_id = request_id_of(request.headers());
    let mut response = match edge.relay(route, request, &request_id).await {
        Ok(response) => response,
        Err(unadmitted) => unadmitted.into_response(),
    };
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

/// A request that was not passed on, or that nobody answered.
struct Unadmitted {
    refusal: ApiError,
    challenge: Option<HeaderValue>,
}

impl From<ApiError> for Unadmitted {
    fn from(refusal: ApiError) -> Self {
        Self {
            refusal,
            challenge: None,
        }
    }
}

impl From<Refusal> for Unadmitted {
    fn from(refusal: Refusal) -> Self {
        tracing::info!(code = refusal.code(), "a token was refused");
        Self {
            challenge: refusal.challenge(),
            refusal: refusal.into(),
        }
    }
}

impl IntoResponse for Unadmitted {
    fn into_response(self) -> Response {
        let must_close = matches!(
            self.refusal.status(),
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
        );
        let mut response = self.refusal.into_response();
        let headers = response.headers_mut();
        if must_close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl Edge {
    async fn relay(
        &self,
        route: &Route,
        request: Request,
        request_id: &HeaderValue,
    ) -> Result<Response, Unadmitted> {
        let _slot = self.slots.try_acquire().map_err(|_| {
            ApiError::overloaded("too many requests are under way")
                .retry_after(Duration::from_secs(1))
        })?;
        if !is_plain(request.uri().path()) {
            let message = "a path must not have `.`, `..` or `\\` in it";
            return Err(ApiError::invalid(message).into());
        }
        let deadline = Deadline::from_headers(request.headers()).at_most(self.deadline);
        deadline.refuse_if_over()?;
        let customer = self
            .admit(route, request.headers(), client_of(&request), deadline)
            .await?;
        let (parts, body) = request.into_parts();
        let body = self.body(body, deadline).await?;
        if let Some(firewall) = &self.firewall {
            firewall.refuse_attack(&parts, &body)?;
        }
        let outgoing = Outgoing {
            has_key: parts
                .headers
                .get(IDEMPOTENCY_KEY)
                .is_some_and(|key| !key.is_empty()),
            path: parts
                .uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
            headers: passed_on(&parts.headers, request_id, customer.as_deref()),
            method: parts.method,
            body,
        };
        let deadline = if self.upstream_timeout {
            deadline
        } else {
            Deadline::none()
        };
        let answer = self
            .upstream(route)?
            .send(&outgoing, deadline)
            .await
            .map_err(refusal)?;
        Ok((answer.status, answer.headers, answer.body).into_response())
    }

    /// Finds out who asks, and counts the request. A customer is counted under the verified name; whoever has no good
    /// token is counted too, so that guessing is limited.
    async fn admit(
        &self,
        route: &Route,
        headers: &HeaderMap,
        client: Result<String, ApiError>,
        deadline: Deadline,
    ) -> Result<Option<String>, Unadmitted> {
        let customer = match &self.verifier {
            Some(verifier) if route.needs_token => Some(verifier.customer(headers, deadline).await),
            _ => None,
        };
        let client = match &customer {
            Some(Ok(customer)) => format!("customer {customer}"),
            _ => client?,
        };
        if let Some(clients) = &self.clients {
            clients.take(&client, Instant::now()).map_err(|wait| {
                let message = "this client sends too many requests";
                ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
                    .retry_after(wait)
            })?;
        }
        Ok(customer.transpose()?)
    }

    fn upstream(&self, route: &Route) -> Result<&Upstreams, ApiError> {
        if let Some(check) = &self.ways.check {
            check.refuse_if_wrong(route)?;
        }
        let service = self.ways.routes.service_of(route);
        let upstreams = service.and_then(|service| self.ways.upstreams.get(&service));
        upstreams.map(Arc::as_ref).ok_or_else(|| {
            let message = format!("the route table has no way to {}", route.path);
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_route", message)
        })
    }

    async fn body(&self, body: axum::body::Body, deadline: Deadline) -> Result<Bytes, ApiError> {
        let read = deadline
            .bound(body::read(body, self.body_limit))
            .await
            .map_err(|_| {
                let message = "the body did not arrive in time";
                ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message)
            })?;
        read.map_err(|error| match error {
            BodyError::TooLarge => {
                let message = format!(
                    "a body may have {} bytes",
                    self.body_limit.unwrap_or(usize::MAX)
                );
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
            }
            BodyError::Broken => ApiError::invalid("the body broke off"),
        })
    }
}

fn refusal(error: SendError) -> ApiError {
    let message = error.to_string();
    match error {
        SendError::NothingSent(_) => {
            let refusal = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_upstream", message);
            refusal.retry_after(Duration::from_secs(1))
        }
        SendError::Failed(_) => ApiError::new(StatusCode::BAD_GATEWAY, "upstream_failed", message),
        SendError::TimedOut => {
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", message)
        }
    }
}

/// Name under which a client's requests are counted: what it says, else the address that it comes from.
fn client_of(request: &Request) -> Result<String, ApiError> {
    if let Some(id) = request.headers().get(CLIENT_ID) {
        let bytes = id.as_bytes();
        let fits = !bytes.is_empty()
            && bytes.len() <= NAME_LIMIT
            && bytes.iter().all(u8::is_ascii_graphic);
        return match id.to_str() {
            Ok(text) if fits => Ok(format!("id {text}")),
            _ => Err(ApiError::invalid(format!(
                "X-Client-Id must have 1 to {NAME_LIMIT} visible characters"
            ))),
        };
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    Ok(peer.map_or_else(
        || "unknown".to_owned(),
        |ConnectInfo(address)| format!("ip {}", address.ip()),
    ))
}

/// The client's own name for the request if it is usable, else a new one.
fn request_id_of(headers: &HeaderMap) -> HeaderValue {
    let usable = |id: &&HeaderValue| {
        !id.is_empty() && id.len() <= NAME_LIMIT && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    if let Some(id) = headers.get(REQUEST_ID).filter(usable) {
        return id.clone();
    }
    // A UUID's text is always a valid header.
    HeaderValue::try_from(Uuid::now_v7().to_string()).unwrap_or(HeaderValue::from_static("unnamed"))
}

/// Only headers that the services know are passed on, each once.
fn passed_on(headers: &HeaderMap, request_id: &HeaderValue, customer: Option<&str>) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for name in [
        header::CONTENT_TYPE,
        header::ACCEPT,
        header::IF_NONE_MATCH,
        IDEMPOTENCY_KEY,
        CLIENT_ID,
    ] {
        if let Some(value) = headers.get(&name) {
            passed.insert(name, value.clone());
        }
    }
    passed.insert(REQUEST_ID, request_id.clone());
    // A token's subject is visible ASCII, so it is always a valid header.
    if let Some(Ok(customer)) = customer.map(HeaderValue::from_str) {
        passed.insert(CUSTOMER_ID, customer);
    }
    let trace = Trace::current().unwrap_or_else(Trace::start).child();
    if let Ok(value) = HeaderValue::try_from(trace.to_string()) {
        passed.insert(HeaderName::from_static(TRACEPARENT), value);
    }
    passed
}
