//! The pipeline's edge: TLS, cross-origin rules, tokens, a rate limit for each client, a body limit, deadlines, and the balancing
//! of the instances of each service.
//!
//! * [`config`]: the settings
//! * [`defences`]: the protections that can be switched off by name
//! * [`firewall`]: what looks like an attack
//! * [`limit`]: the rate limit of each client
//! * [`route`]: which path leads to which service
//! * [`route_check`]: whether the services know their paths
//! * [`token`]: who asks
//! * [`upstream`]: which instance gets a request, and whether it is sent again
//! * [`http`]: what customers may reach

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use service_kit::defences::Defences;
use service_kit::http::CrossOrigin;
use service_kit::names::Names;
use service_kit::service::Service;

use defences::Protection;
use token::keys::{KeySource, Keys};

pub mod config;
pub mod defences;
pub mod firewall;
pub mod http;
pub mod limit;
pub mod route;
pub mod route_check;
pub mod token;
pub mod upstream;

/// Starts the gateway: probes, health, public API.
///
/// # Errors
/// A file cannot be read, or an address cannot be bound.
pub async fn start(config: config::Config, service: Service) -> anyhow::Result<()> {
    serve(config, &service).await.map(drop)
}

/// Starts the gateway and says where its public API is served.
///
/// # Errors
/// A file cannot be read, or an address cannot be bound.
pub async fn serve(config: config::Config, service: &Service) -> anyhow::Result<SocketAddr> {
    let graceful = config.defences.on(Protection::GracefulShutdown);
    service.shutdown.finish_what_is_under_way(graceful);
    let off = config.defences.names_off();
    if !off.is_empty() {
        tracing::warn!(?off, "defences are off");
    }
    let names = if config.defences.on(Protection::DnsTtl) {
        config.names
    } else {
        config.names.kept_for_ever()
    };
    let metrics = upstream::metrics::UpstreamMetrics::new(&service.metrics);
    let mut upstreams = BTreeMap::new();
    for (name, addresses) in config.services {
        let instances = Arc::new(upstream::Upstreams::new(
            name,
            addresses,
            &names,
            config.upstream.clone(),
            &config.defences,
            metrics.clone(),
        )?);
        let probing = instances.clone().probe(service.shutdown.token());
        service.spawn("probes", async move {
            probing.await;
            Ok::<_, std::convert::Infallible>(())
        });
        let watching = instances.clone().watch_readiness(service.shutdown.token());
        service.spawn("readiness", async move {
            watching.await;
            Ok::<_, std::convert::Infallible>(())
        });
        upstreams.insert(name, instances);
    }
    let pages = if config.defences.on(Protection::CorsAllowlist) {
        config.pages
    } else {
        CrossOrigin::WideOpen
    };
    let verifier = match config.keys {
        Some(source) => Some(token::Verifier::new(
            config.tokens,
            fresh_keys(source, &names, &config.defences, service)?,
        )),
        None => None,
    };
    let check = config.defences.on(Protection::RouteCheck).then(|| {
        let every = config.upstream.readiness_interval;
        check_routes(&config.routes, &upstreams, every, service)
    });
    let firewall = config
        .defences
        .on(Protection::Waf)
        .then(|| http::Guard::new(config.firewall, &service.metrics));
    let edge = http::Edge::new(
        http::Ways {
            routes: config.routes,
            check,
            upstreams,
        },
        verifier,
        firewall,
        config.edge,
        &config.defences,
    );
    let mut public = config.public;
    if !config.defences.on(Protection::CertificateReload) {
        public.reload_every = None;
    }
    service.serve_http(axum::Router::new())?;
    Ok(service
        .serve_tls_to_pages(&public, http::router(Arc::new(edge)), pages)
        .await?)
}

/// Asks in the background whether the services know their paths; until all do, the gateway is not ready.
fn check_routes(
    routes: &route::RouteTable,
    upstreams: &BTreeMap<route::Upstream, Arc<upstream::Upstreams>>,
    every: std::time::Duration,
    service: &Service,
) -> Arc<route_check::RouteCheck> {
    let check = Arc::new(route_check::RouteCheck::new(routes.clone()));
    let (asking, upstreams, stop) = (check.clone(), upstreams.clone(), service.shutdown.token());
    service.spawn("routes", async move {
        asking.ask_until_good(&upstreams, every, stop).await;
        Ok::<_, std::convert::Infallible>(())
    });
    let checked = check.clone();
    service.health.check("routes", move || {
        let verdict = checked.verdict();
        async move { verdict }
    });
    check
}

/// The identity provider's keys, fetched in the background; without any the gateway is not ready.
fn fresh_keys(
    source: KeySource,
    names: &Names,
    defences: &Defences<Protection>,
    service: &Service,
) -> anyhow::Result<Arc<Keys>> {
    let refresh = defences.on(Protection::JwksRefresh);
    let keys = Arc::new(Keys::new(source, names, refresh, &service.metrics)?);
    let (fetching, stop) = (keys.clone(), service.shutdown.token());
    service.spawn("keys", async move {
        fetching.keep_fresh(stop).await;
        Ok::<_, std::convert::Infallible>(())
    });
    let checked = keys.clone();
    service.health.check("keys", move || {
        let have_come = checked.have_come();
        async move {
            let lacking = "the identity provider's keys have not been fetched yet";
            have_come.then_some(()).ok_or_else(|| lacking.to_owned())
        }
    });
    Ok(keys)
}
