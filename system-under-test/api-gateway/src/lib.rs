//! The pipeline's edge: TLS, cross-origin rules, tokens, a rate limit for each client, a body limit, deadlines, and the balancing
//! of the instances of each service.
//!
//! * [`config`]: the settings
//! * [`defences`]: the protections that can be switched off by name
//! * [`limit`]: the rate limit of each client
//! * [`route`]: which path leads to which service
//! * [`token`]: who asks
//! * [`upstream`]: which instance gets a request, and whether it is sent again
//! * [`http`]: what customers may reach

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use service_kit::defences::Defences;
use service_kit::http::CrossOrigin;
use service_kit::service::Service;

use defences::Protection;
use token::keys::{KeySource, Keys};

pub mod config;
pub mod defences;
pub mod http;
pub mod limit;
pub mod route;
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
    let metrics = upstream::metrics::UpstreamMetrics::new(&service.metrics);
    let mut upstreams = BTreeMap::new();
    for (name, addresses) in config.services {
        let instances = Arc::new(upstream::Upstreams::new(
            name,
            addresses,
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
            fresh_keys(source, &config.defences, service)?,
        )),
        None => None,
    };
    let edge = http::Edge::new(
        config.routes,
        upstreams,
        verifier,
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

/// The identity provider's keys, fetched in the background; without any the gateway is not ready.
fn fresh_keys(
    source: KeySource,
    defences: &Defences<Protection>,
    service: &Service,
) -> anyhow::Result<Arc<Keys>> {
    let refresh = defences.on(Protection::JwksRefresh);
    let keys = Arc::new(Keys::new(source, refresh, &service.metrics)?);
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
