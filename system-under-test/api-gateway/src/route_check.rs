//! Whether every route leads to a service that knows its path. Asked at start, until it is known of all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use service_kit::http::ApiError;
use tokio_util::sync::CancellationToken;

use crate::route::{PUBLIC_API, Route, RouteTable, Upstream};
use crate::upstream::Upstreams;

/// What is known of the routes.
pub struct RouteCheck {
    table: RouteTable,
    standings: Mutex<BTreeMap<&'static str, Standing>>,
}

/// What is known of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// Its service knows its path.
    Good,
    /// Nobody has answered yet; a sentence.
    Unknown(String),
    /// It leads to where nobody knows its path, or nowhere; a sentence.
    Wrong(String),
}

impl RouteCheck {
    /// Nothing is known yet.
    pub fn new(table: RouteTable) -> Self {
        let unasked = |route: &Route| {
            let sentence = format!("the service behind {} has not answered yet", route.path);
            (route.path, Standing::Unknown(sentence))
        };
        Self {
            table,
            standings: Mutex::new(PUBLIC_API.iter().map(unasked).collect()),
        }
    }

    /// Asks until every route is known to be good, or the process stops.
    pub async fn ask_until_good(
        &self,
        upstreams: &BTreeMap<Upstream, Arc<Upstreams>>,
        every: Duration,
        stop: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.verdict().is_err() {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            for route in &PUBLIC_API {
                let standing = self.ask(route, upstreams).await;
                self.note(route, standing);
            }
        }
        tracing::info!("every route leads to a service that knows it");
    }

    async fn ask(&self, route: &Route, upstreams: &BTreeMap<Upstream, Arc<Upstreams>>) -> Standing {
        let path = route.path;
        let service = self.table.service_of(route);
        let Some(upstream) = service.and_then(|service| upstreams.get(&service)) else {
            return Standing::Wrong(format!(
                "{path} leads nowhere: ROUTES must name its service"
            ));
        };
        let service = upstream.service();
        match upstream.options(path).await {
            Ok(StatusCode::NOT_FOUND) => Standing::Wrong(format!(
                "{path} leads to {service}, which does not know it: ROUTES must name another service"
            )),
            Ok(_) => Standing::Good,
            Err(why) => Standing::Unknown(format!("{path} leads to {service}, {why}")),
        }
    }

    fn note(&self, route: &Route, standing: Standing) {
        let mut standings = self.standings();
        let before = standings.insert(route.path, standing.clone());
        if let (Standing::Wrong(sentence), true) = (&standing, before.as_ref() != Some(&standing)) {
            tracing::error!("{sentence}");
        }
    }

    /// Whether every route is good.
    ///
    /// # Errors
    /// Says what is not, or not known yet.
    pub fn verdict(&self) -> Result<(), String> {
        let standings = self.standings();
        let lacking: Vec<&str> = standings
            .values()
            .filter_map(|standing| match standing {
                Standing::Good => None,
                Standing::Unknown(sentence) | Standing::Wrong(sentence) => Some(sentence.as_str()),
            })
            .collect();
        if lacking.is_empty() {
            Ok(())
        } else {
            Err(lacking.join("; "))
        }
    }

    /// Refuses what would be sent to where nobody knows its path.
    ///
    /// # Errors
    /// 503 `misrouted`: certainly nothing was done.
    pub fn refuse_if_wrong(&self, route: &Route) -> Result<(), ApiError> {
        match self.standings().get(route.path) {
            Some(Standing::Wrong(_)) => {
                let message = format!("the way to {} is not set up properly", route.path);
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Err(ApiError::new(status, "misrouted", message))
            }
            _ => Ok(()),
        }
    }

    fn standings(&self) -> MutexGuard<'_, BTreeMap<&'static str, Standing>> {
        self.standings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
